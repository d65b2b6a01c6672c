"""The tables. Times are UTC and aware; money is USD per hour; IDs are opaque ASCII."""

from db.tables.autopilot import DecisionRow, ExperienceRow
from db.tables.backtests import BacktestRow
from db.tables.base import Base
from db.tables.clients import Audit, Client, SignIn, Token
from db.tables.drift import DriftRow
from db.tables.events import Event, RecordStream
from db.tables.fleet import Agent, Instance, Notice, Resource, Server
from db.tables.forecast_models import ModelRow, ModelShadow, ModelUse
from db.tables.operations import Operation, OperationStep
from db.tables.prices import (
    AdvisorBand,
    OnDemandPriceRow,
    PlacementScore,
    PoolFactRow,
    PoolRow,
    PriceCanonical,
    PriceCollection,
    PriceConsolidated,
    PriceCorrection,
    PriceObservation,
    PriceSeries,
    PriceSetAside,
)
from db.tables.savings import SavingsDay, SavingsEntry, SavingsHour, SavingsProgress, WeeklySummary
from db.tables.webhooks import Webhook, WebhookDelivery

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
