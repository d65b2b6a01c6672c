"""What readers ask. Each function takes a session, and a client ID that scopes it; None is an admin's view."""
