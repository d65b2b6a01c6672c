"""Kills the worker at every call, commit and hook of every operation, and checks what holds afterwards."""
