"""Clients, their tokens, sign-ins and the audit."""
