"""Servers, instances, operations and the ledger of resources."""
