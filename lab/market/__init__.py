"""Prices and capacity: what a pool costs now, what it cost before, and whether it has room."""
