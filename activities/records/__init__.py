"""Records of the fleet, written to MySQL."""

from activities.records.activity import RecordActivities, record_activities

__all__ = ["RecordActivities", "record_activities"]
