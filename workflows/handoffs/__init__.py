"""How service and state pass from the old instance to the new: one module a handoff."""
