"""Forecasts of risk and price per pool, from wherever they come: the interface, its features, and the way back."""
