"""The operations on a server, and what they share."""
