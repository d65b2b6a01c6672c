"""What was saved: by hour, day and month, by server, as CSV; and the head of the dashboard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime
from sqlalchemy.orm import Session

from api.access.callers import GuardedRoute, ReadingCaller
from api.access.tokens import Caller
from api.http.problems import INVALID, NOT_FOUND, FieldError, Problem, documented
from api.screens.savings_csv import to_csv
from api.services import Services, ServicesDep
from api.views.savings import (
    MoneyView,
    PeriodView,
    SavingsView,
    ServerSavingsView,
    ServersSavingsView,
    SummaryView,
    money,
    summary_view,
)
from db.fleet.servers import get_server
from db.savings.booking import accrued_until
from db.savings.totals import PeriodTotal, Unit, period_totals, server_totals, unit_start
from db.status.summary import summary
from domain.savings.amounts import total

router = APIRouter(tags=["savings"], route_class=GuardedRoute)

From = Annotated[AwareDatetime | None, Query(alias="from", description="Widened to the unit's start, in UTC")]
Until = Annotated[AwareDatetime | None, Query(alias="to", description="Widened to the unit's end; default: now")]
ServerId = Annotated[str | None, Query(max_length=64)]

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_DEFAULT = {Unit.HOUR: _DAY, Unit.DAY: 30 * _DAY, Unit.MONTH: 365 * _DAY}
_LONGEST = {Unit.HOUR: 32 * _DAY, Unit.DAY: 3 * 366 * _DAY, Unit.MONTH: 10 * 366 * _DAY}
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


@router.get("/savings", responses=documented(NOT_FOUND))
async def index(
    caller: ReadingCaller,
    services: ServicesDep,
    by: Unit = Unit.DAY,
    since: From = None,
    until: Until = None,
    server_id: ServerId = None,
) -> SavingsView:
    """The ledger's sums, oldest first. Without a time: the last day by hour, 30 days by day, a year by month."""
    start, end = _span(by, since, until)
    found = await _periods(services, caller, by, start, end, server_id)
    return SavingsView(
        by=by,
        from_at=start,
        until_at=end,
        accrued_until=await services.database.read(accrued_until),
        items=[PeriodView(start=one.start, **money(one.amounts)) for one in found],
        total=MoneyView(**money(total(one.amounts for one in found))),
    )


@router.get("/savings/servers")
async def by_server(
    caller: ReadingCaller,
    services: ServicesDep,
    since: From = None,
    until: Until = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 500,
) -> ServersSavingsView:
    """Over whole days; who saved most first. `total` is of all servers, also of those beyond `limit`."""
    start, end = _span(Unit.DAY, since, until)
    found = await services.database.read(server_totals, caller.scope, start, end, limit)
    days = await services.database.read(period_totals, caller.scope, Unit.DAY, start, end)
    return ServersSavingsView(
        from_at=start,
        until_at=end,
        accrued_until=await services.database.read(accrued_until),
        items=[ServerSavingsView(server_id=one.server_id, name=one.name, **money(one.amounts)) for one in found],
        total=MoneyView(**money(total(one.amounts for one in days))),
    )


class CsvResponse(Response):
    media_type = "text/csv"


_CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}


@router.get("/savings.csv", responses=documented(NOT_FOUND) | _CSV, response_class=CsvResponse)
async def as_csv(
    caller: ReadingCaller,
    services: ServicesDep,
    by: Annotated[str, Query(pattern="^(hour|day|month|server)$")] = "day",
    since: From = None,
    until: Until = None,
    server_id: ServerId = None,
) -> CsvResponse:
    """The same as CSV; `by=server` is a line a server."""
    if by == "server":
        start, end = _span(Unit.DAY, since, until)
        of_servers = await services.database.read(server_totals, caller.scope, start, end, 100_000)
        text = to_csv(("server_id", "name"), (((one.server_id, one.name), one.amounts) for one in of_servers))
    else:
        unit = Unit(by)
        start, end = _span(unit, since, until)
        found = await _periods(services, caller, unit, start, end, server_id)
        text = to_csv(("start",), (((one.start,), one.amounts) for one in found))
    name = f"savings-by-{by}-{start:%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return CsvResponse(text, headers=headers)


@router.get("/summary")
async def head(caller: ReadingCaller, services: ServicesDep) -> SummaryView:
    """The fleet, its money so far and its last 30 days, in one answer."""
    now = datetime.now(UTC)

    def work(session: Session) -> SummaryView:
        return summary_view(summary(session, caller.scope, now), accrued_until(session))

    return await services.database.read(work)


async def _periods(
    services: Services, caller: Caller, unit: Unit, start: datetime, end: datetime, server_id: str | None
) -> list[PeriodTotal]:
    if server_id is not None and await services.database.read(get_server, caller.scope, server_id) is None:
        raise Problem(NOT_FOUND, f"there is no server {server_id}")
    return await services.database.read(period_totals, caller.scope, unit, start, end, server_id)


def _span(unit: Unit, since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    """In whole units. Problem when it ends before it begins, or is longer than one answer should be."""
    now = datetime.now(UTC)
    last = until or now
    first = since or max(last, _EARLIEST + _DEFAULT[unit]) - _DEFAULT[unit]
    if not _EARLIEST <= first < last <= _LATEST:
        raise _invalid("from has to lie before to, and both in this century or the next")
    start, end = unit_start(unit, first), _ceil(unit, last)
    if end - start > _LONGEST[unit]:
        raise _invalid(f"{(end - start).days} days by {unit.value} are too many: {_LONGEST[unit].days} at most")
    return start, end


def _ceil(unit: Unit, at: datetime) -> datetime:
    start = unit_start(unit, at)
    if start == at:
        return start
    if unit is Unit.MONTH:
        return unit_start(unit, start + 32 * _DAY)
    return start + (_HOUR if unit is Unit.HOUR else _DAY)


def _invalid(detail: str) -> Problem:
    return Problem(INVALID, detail, errors=[FieldError(field="query.from", message=detail)])
