"""What is measured, for Prometheus. No label names a client, a server or an instance; all are few and bounded."""
