"""A fleet under many kinds of faults, drawn from a seed."""
