"""A fleet in all kinds of trouble, drawn from a seed."""
