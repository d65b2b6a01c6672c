"""Differences between EC2 and the records."""
