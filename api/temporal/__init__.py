"""Temporal as the API uses it: `client` makes every call, `workflow_problems` says what its errors mean to a caller."""
