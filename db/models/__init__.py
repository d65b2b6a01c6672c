"""The tables. Times are UTC and aware; money is USD per hour; IDs are opaque ASCII."""

from db.models.autopilot import DecisionRow, ExperienceRow
from db.models.backtests import BacktestRow
from db.models.base import Base
from db.models.drift import DriftRow
from db.models.fleet import Agent, Instance, Notice, Resource, Server
from db.models.market import PoolRow
from db.models.models import ModelRow, ModelShadow, ModelUse
from db.models.operations import Operation, OperationStep
from db.models.prices import (
    AdvisorBand,
    OnDemandPriceRow,
    PlacementScore,
    PoolFactRow,
    PriceCanonical,
    PriceCollection,
    PriceConsolidated,
    PriceCorrection,
    PriceObservation,
    PriceSeries,
    PriceSetAside,
)
from db.models.savings import SavingsDay, SavingsEntry, SavingsHour, SavingsProgress, WeeklySummary
from db.models.stream import Event, RecordStream
from db.models.tenants import Audit, Client, SignIn, Token
from db.models.webhooks import Webhook, WebhookDelivery

__all__ = [
    "AdvisorBand",
    "Agent",
    "Audit",
    "BacktestRow",
    "Base",
    "Client",
    "DecisionRow",
    "DriftRow",
    "Event",
    "ExperienceRow",
    "Instance",
    "ModelRow",
    "ModelShadow",
    "ModelUse",
    "Notice",
    "OnDemandPriceRow",
    "Operation",
    "OperationStep",
    "PlacementScore",
    "PoolFactRow",
    "PoolRow",
    "PriceCanonical",
    "PriceCollection",
    "PriceConsolidated",
    "PriceCorrection",
    "PriceObservation",
    "PriceSeries",
    "PriceSetAside",
    "RecordStream",
    "Resource",
    "SavingsDay",
    "SavingsEntry",
    "SavingsHour",
    "SavingsProgress",
    "Server",
    "SignIn",
    "Token",
    "Webhook",
    "WebhookDelivery",
    "WeeklySummary",
]
