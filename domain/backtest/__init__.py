"""What the policy would have done: the replay of a market's or a client's history, tick by tick."""
