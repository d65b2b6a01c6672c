"""Prices, from what somebody said to one step series per pool. Pure: facts in, facts out."""
