"""A worker killed at every call, commit and hook of every operation, and what held afterwards."""
