"""What happened to the fleet, in MySQL."""

from activities.fleet.activity import FleetActivities, fleet_activities

__all__ = ["FleetActivities", "fleet_activities"]
