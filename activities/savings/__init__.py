"""The ledger of savings, accrued by a schedule; the weekly summary; the expiry of events."""
