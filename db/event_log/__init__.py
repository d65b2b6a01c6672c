"""A client's events, numbered without gaps in the order of their commits."""
