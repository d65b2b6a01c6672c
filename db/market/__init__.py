"""The market: pools, prices in three tiers, what they are compared with, what happened. See domain.market."""
