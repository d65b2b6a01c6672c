"""The ledger's totals, and the head of the dashboard, as the API shows them."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.views.base import View
from db.savings.totals import Unit
from db.status.summary import Summary
from domain.savings.amounts import Amounts, usd


class MoneyView(View):
    """USD, to the millionth. The sums of hours, days, months and servers agree with each other exactly."""

    cost_usd: float = Field(description="primary, replica, overlap and snapshots together")
    primary_usd: float
    replica_usd: float
    overlap_usd: float
    snapshot_usd: float = Field(description="at most: of a snapshot only its volume's size is known")
    on_demand_usd: float = Field(description="what on-demand of the type the server came with would have cost")
    saved_usd: float
    unpriced_minutes: float = Field(description="of instances, without a known price: in none of the sums")
    filled_minutes: float = Field(description="of instances, at a price that was carried on through a silence")


class PeriodView(MoneyView):
    start: datetime


class ServerSavingsView(MoneyView):
    server_id: str
    name: str


class SavingsView(View):
    """`from_at`, `until_at`: the time asked for, in whole units. A unit without an entry has no item."""

    by: Unit
    from_at: datetime
    until_at: datetime
    accrued_until: datetime | None
    items: list[PeriodView]
    total: MoneyView


class ServersSavingsView(View):
    from_at: datetime
    until_at: datetime
    accrued_until: datetime | None
    items: list[ServerSavingsView]
    total: MoneyView


class SavedView(View):
    """So far, as of `accrued_until`."""

    hour: MoneyView
    day: MoneyView
    month: MoneyView


class SummaryView(View):
    """`switches`, `failovers`, `outage_minutes`: of operations asked for in the last 30 days."""

    servers: int
    servers_by_state: dict[str, int]
    instances: int
    agents_online: int
    saved: SavedView
    accrued_until: datetime | None
    switches: int
    switch_success_rate: float | None = Field(description="Committed of those that ended; null when none has")
    failovers: int
    outage_minutes: float
    operations_in_progress: int
    needs_attention: int
    decisions_waiting: int


def money(amounts: Amounts) -> dict[str, float]:
    """The fields of MoneyView."""
    return {
        "cost_usd": float(usd(amounts.cost)),
        "primary_usd": float(usd(amounts.primary)),
        "replica_usd": float(usd(amounts.replica)),
        "overlap_usd": float(usd(amounts.overlap)),
        "snapshot_usd": float(usd(amounts.snapshot)),
        "on_demand_usd": float(usd(amounts.on_demand)),
        "saved_usd": float(usd(amounts.saved)),
        "unpriced_minutes": round(amounts.unpriced_s / 60, 2),
        "filled_minutes": round(amounts.filled_s / 60, 2),
    }


def summary_view(found: Summary, accrued_until: datetime | None) -> SummaryView:
    record = found.record
    return SummaryView(
        servers=found.servers.get("active", 0),
        servers_by_state=found.servers,
        instances=found.instances,
        agents_online=found.agents_online,
        saved=SavedView(
            hour=MoneyView(**money(found.this_hour)),
            day=MoneyView(**money(found.this_day)),
            month=MoneyView(**money(found.this_month)),
        ),
        accrued_until=accrued_until,
        switches=record.switches,
        switch_success_rate=record.success_rate,
        failovers=record.failovers,
        outage_minutes=round(record.outage_ms / 60_000, 3),
        operations_in_progress=found.in_progress,
        needs_attention=found.needs_attention,
        decisions_waiting=found.waiting_for_approval,
    )
