"""Webhooks: which events they tell, how a message is signed, where it may go, and when it is tried again. Pure."""
