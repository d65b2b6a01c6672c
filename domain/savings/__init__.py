"""What was saved: by the hour and server, what it cost against on-demand of its original type. Pure."""
