"""Webhooks in the records: who wants what, what events have become deliveries, and the log of attempts."""
