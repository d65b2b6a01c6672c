"""Prices and capacity: what a pool costs now and did before, and whether it has capacity."""
