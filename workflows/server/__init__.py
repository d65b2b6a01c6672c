"""The server's entity: its queue, its notices, its watches."""
