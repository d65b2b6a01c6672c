"""What happened to the fleet, in MySQL."""

from activities.records.activity import FleetActivities, fleet_activities

__all__ = ["FleetActivities", "fleet_activities"]
