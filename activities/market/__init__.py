"""The market's collection: prices and scores from AWS into the records, and the deletion of old records."""
