"""The ledger of savings in the records: what ran, what it cost then, and the entries. See domain.savings."""
