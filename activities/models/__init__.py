"""Registered models, as the worker runs them."""
