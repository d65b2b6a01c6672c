"""EC2 against the ledger: facts in, findings out, each with what becomes of it and why. Pure.

The rules are written down for people in docs/reconciliation.md.
"""
