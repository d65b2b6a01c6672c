"""Server-sent events: one reader of the database, many readers of its events."""
