"""Decisions of the autopilot, and what they are made of."""
