"""The market's records: prices in three tiers, what they are held against, reliability. See domain.market."""
