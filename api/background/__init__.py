"""What runs as long as the API process: waiting for its dependencies, and reporting silent agents."""
