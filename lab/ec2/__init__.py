"""EC2 as strict as EC2 is: what an API call may do, when it takes effect, and what it answers."""
