"""EC2, as strict as the real one: what a call may do, when it takes effect, and what it answers."""
