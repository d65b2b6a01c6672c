"""The records in MySQL. What reads for somebody takes a client ID that scopes it; None is an admin's view."""
