"""What runs for as long as the API process lives."""
