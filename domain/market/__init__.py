"""Prices, from single reports to one step series per pool, and the other facts of pools. Pure."""
