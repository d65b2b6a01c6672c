"""Measures what the product promises, beside a baseline of the same run."""
