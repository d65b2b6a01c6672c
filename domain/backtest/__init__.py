"""What would the policy have done with a client's own servers? The question, its limits, and the history."""
