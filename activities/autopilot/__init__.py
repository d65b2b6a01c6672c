"""The autopilot's activities: decide for the fleet, ask for what follows."""
