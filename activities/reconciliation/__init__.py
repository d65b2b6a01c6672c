"""Reconciliation: EC2 is compared with the ledger, and what differs is kept, told and settled."""
