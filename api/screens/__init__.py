"""Documents made of many records."""
