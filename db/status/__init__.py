"""Counts and checks over everything."""
