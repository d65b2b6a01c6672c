"""Metrics for Prometheus. No label names a client, a server or an instance: the values of each label are few."""
