"""Differences between EC2 and the ledger: what is compared, and the findings."""
