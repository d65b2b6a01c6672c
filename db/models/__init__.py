"""The tables. Times are UTC and aware; money is USD per hour; IDs are opaque ASCII."""

from db.models.autopilot import DecisionRow
from db.models.base import Base
from db.models.fleet import Agent, Instance, Notice, Resource, Server
from db.models.market import PoolRow, PriceObservation
from db.models.operations import Operation, OperationStep
from db.models.stream import Event, RecordStream
from db.models.tenants import Audit, Client, Token

__all__ = [
    "Agent",
    "Audit",
    "Base",
    "Client",
    "DecisionRow",
    "Event",
    "Instance",
    "Notice",
    "Operation",
    "OperationStep",
    "PoolRow",
    "PriceObservation",
    "RecordStream",
    "Resource",
    "Server",
    "Token",
]
