"""What the decision policy would have done: history replayed through the policy's own code."""
