"""Backtests on a client's own history: the facts are read here, the replay runs in a process of its own."""
