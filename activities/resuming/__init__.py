"""Resuming: what is known of a server whose workflow Temporal has lost."""
