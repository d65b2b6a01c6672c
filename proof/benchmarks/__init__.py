"""What is promised, measured beside a baseline of the same run."""
