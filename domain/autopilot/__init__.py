"""What the autopilot may do with a server: its owner's wish, resolved with the client's, and checked."""
