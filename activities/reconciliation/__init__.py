"""Reconciliation: EC2 is compared with the ledger. Differences are recorded, reported and settled."""
