"""Documents made of many records: the fleet page, a server's timeline, savings as CSV."""
