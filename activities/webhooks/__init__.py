"""Webhooks: events become deliveries, and messages go out."""
