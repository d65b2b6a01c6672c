"""A server's own workflow: its state, its queue, its notices and its host watches."""
