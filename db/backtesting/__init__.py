"""Backtests: asked for, run, and their results."""
