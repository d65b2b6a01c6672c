"""From reported prices to the canonical series: one batch of prices in one transaction.

    admit         keep prices that are possible and new; the pools' series are locked from here on
    observe       write the first tier, and what was set aside
    consolidate   write the second tier: the runs near the new prices are corrected (domain.market.price_series)
    canonise      write the third tier, its versions, and the spans of the past whose price has changed

A batch that comes twice, or late, leads to the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, insert, or_, select, update
from sqlalchemy.orm import Session

from db.engine.bulk import insert_missing_rows, insert_rows
from db.market.series import SeriesHead, lock_series, read_neighbouring_runs, series_heads
from db.tables import PriceCanonical, PriceConsolidated, PriceObservation, PriceSeries, PriceSetAside
from domain.market.observed_prices import (
    PoolKey,
    PriceBounds,
    PricePoint,
    PriceSource,
    ReportedPrice,
    SetAsidePrice,
    SetAsideReason,
    SiftedPrices,
    sift_prices,
)
from domain.market.price_series import (
    PriceStep,
    TimeSpan,
    UnchangedPrice,
    changed_spans,
    differing_slices,
    merge_points,
    minute_of,
    price_steps,
)

_RUN_COLUMNS = ("series_id", "minute", "at", "usd_per_hour", "source", "last_at", "last_source")
_STEP_COLUMNS = ("series_id", "from_at", "until_at", "usd_per_hour", "kind", "confidence", "confirmed_at", "source")
_LONGEST_WORD = 64  # of a word of what was set aside; the digest is of all of it


@dataclass(slots=True)
class Batch:
    """The new prices of each pool, and what was set aside."""

    now: datetime
    heads: dict[PoolKey, SeriesHead]
    points: dict[PoolKey, list[PricePoint]]
    set_aside: list[SetAsidePrice]


@dataclass(frozen=True, slots=True)
class RunChange:
    """A pool's runs before and after. `next_at`: the start of the next run, which did not change."""

    head: SeriesHead
    before: Sequence[UnchangedPrice]
    after: Sequence[UnchangedPrice]
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class PriceChange:
    """A span of a pool's canonical past whose price has changed."""

    region: str
    zone: str
    instance_type: str
    span: TimeSpan


@dataclass(slots=True)
class BatchResult:
    """The result of a batch. `newest`: for each pool with new points, the newest of them."""

    observed: int = 0
    set_aside: int = 0
    changes: list[PriceChange] = field(default_factory=list)
    newest: dict[PoolKey, PricePoint] = field(default_factory=dict)
    regions: dict[PoolKey, str] = field(default_factory=dict)


def store_in_tiers(
    session: Session, said: Iterable[ReportedPrice], source: PriceSource, known: PriceBounds, now: datetime
) -> BatchResult:
    """Correct all three tiers for the reported prices. `known.now` None: the caller has checked the times."""
    batch = admit(session, said, source, known, now)
    observe(session, batch)
    changes = canonise(session, consolidate(session, batch), now)
    return BatchResult(
        observed=sum(map(len, batch.points.values())),
        set_aside=len(batch.set_aside),
        changes=changes,
        newest={pool: max(points) for pool, points in batch.points.items()},
        regions={pool: batch.heads[pool].region for pool in batch.points},
    )


def admit(
    session: Session, said: Iterable[ReportedPrice], source: PriceSource, known: PriceBounds, now: datetime
) -> Batch:
    """The prices that are possible and are not yet known as their pool's newest price."""
    sifted = sift_prices(said, source, known)
    _drop_known(session, sifted)
    heads = lock_series(session, {pool: sifted.regions[pool] for pool in sifted.points}) if sifted.points else {}
    batch = Batch(now, heads, sifted.points, sifted.set_aside)
    for head in heads.values():
        if head.sealed_until is not None:
            _seal(batch, head, head.sealed_until)
    if source is PriceSource.AGENT:
        _yield_to_ec2(session, batch)
    return batch


def observe(session: Session, batch: Batch) -> None:
    columns = ("zone", "instance_type", "at", "source", "usd_per_hour", "region", "seen_at")
    rows: list[tuple[Any, ...]] = []
    for pool in sorted(batch.points):
        region = batch.heads[pool].region
        rows += [(*pool, at, source, usd, region, batch.now) for at, usd, source in batch.points[pool]]
    insert_missing_rows(session, "price_observations", columns, rows)
    if batch.set_aside:
        aside = {one.digest: one for one in batch.set_aside}
        words = [_aside(digest, aside[digest], batch.now) for digest in sorted(aside)]
        session.execute(insert(PriceSetAside).prefix_with("IGNORE"), words)


def consolidate(session: Session, batch: Batch) -> list[RunChange]:
    """Write the runs that differ; return them, before and after."""
    corrected = [_corrected(session, batch.heads[pool], points) for pool, points in batch.points.items()]
    rows: list[tuple[Any, ...]] = []
    for one in corrected:
        out, put = differing_slices(one.before, one.after)
        if gone := one.before[out]:
            first, last = minute_of(gone[0].at), minute_of(gone[-1].at)
            within = PriceConsolidated.minute.between(first, last)
            session.execute(delete(PriceConsolidated).where(PriceConsolidated.series_id == one.head.id, within))
        rows += [(one.head.id, minute_of(run.at), *run) for run in one.after[put]]
    insert_rows(session, "prices_consolidated", _RUN_COLUMNS, rows)
    return corrected


def canonise(session: Session, corrected: Sequence[RunChange], now: datetime) -> list[PriceChange]:
    """Write the steps that differ and the pools' newest runs; return, and record, where the price differs."""
    rows: list[tuple[Any, ...]] = []
    tails: list[dict[str, Any]] = []
    changes: list[PriceChange] = []
    for one in corrected:
        before, after = price_steps(one.before, one.next_at), price_steps(one.after, one.next_at)
        out, put = differing_slices(before, after)
        _take_out(session, one.head, before[out])
        if one.head.version and (not before or after[0].from_at < before[0].from_at):
            _clear_steps(session, one.head, after[0].from_at, before[0].from_at if before else None)
        rows += [(one.head.id, *step) for step in after[put]]
        changes += [PriceChange(one.head.region, *one.head.pool, span) for span in changed_spans(before, after)]
        if before != after or one.before != one.after:
            tails.append({"id": one.head.id, "version": one.head.version + (before != after)} | _tail(one))
    insert_rows(session, "prices_canonical", _STEP_COLUMNS, rows)
    for values in tails:
        session.execute(update(PriceSeries).where(PriceSeries.id == values.pop("id")).values(values))
    _record(session, changes, now)
    return changes


def _drop_known(session: Session, sifted: SiftedPrices) -> None:
    """Drop the price that a series ends with already: EC2 repeats the price in force with every answer."""
    for pool, head in (series_heads(session, sifted.points) if sifted.points else {}).items():
        tail = head.tail
        if tail is None:
            continue
        known = {PricePoint(tail.at, tail.usd, tail.source), PricePoint(tail.last_at, tail.usd, tail.last_source)}
        left = [point for point in sifted.points[pool] if point not in known]
        if left:
            sifted.points[pool] = left
        else:
            del sifted.points[pool]


def _seal(batch: Batch, head: SeriesHead, sealed_until: datetime) -> None:
    points = batch.points[head.pool]
    for at, usd, source in points:
        if at < sealed_until:
            said = ReportedPrice(head.region, *head.pool, at, usd)
            batch.set_aside.append(SetAsidePrice(said, source, SetAsideReason.TOO_OLD))
    left = [point for point in points if point.at >= sealed_until]
    if left:
        batch.points[head.pool] = left
    else:
        del batch.points[head.pool]


def _yield_to_ec2(session: Session, batch: Batch) -> None:
    """Drop an agent's prices of pools that EC2 itself has priced; those that differ are set aside.

    Others may have entered the agent's host, and a price counts for all clients.
    """
    for pool in _told_by_ec2(session, {pool: batch.heads[pool] for pool in batch.points}):
        head = batch.heads[pool]
        for at, usd, source in batch.points.pop(pool):
            if head.tail is None or usd != head.tail.usd:
                batch.set_aside.append(
                    SetAsidePrice(ReportedPrice(head.region, *pool, at, usd), source, SetAsideReason.BETTER_KNOWN)
                )


def _told_by_ec2(session: Session, heads: Mapping[PoolKey, SeriesHead]) -> set[PoolKey]:
    told = {
        pool
        for pool, head in heads.items()
        if head.tail and PriceSource.EC2 in (head.tail.source, head.tail.last_source)
    }
    if unsure := heads.keys() - told:
        zones, types = {zone for zone, _ in unsure}, {kind for _, kind in unsure}
        seen = PriceObservation
        query = select(seen.zone, seen.instance_type).distinct()
        query = query.where(seen.zone.in_(zones), seen.instance_type.in_(types), seen.source == PriceSource.EC2.value)
        told |= {(zone, kind) for zone, kind in session.execute(query)} & unsure
    return told


def _corrected(session: Session, head: SeriesHead, points: list[PricePoint]) -> RunChange:
    low, high = minute_of(min(points).at), minute_of(max(points).at)
    if head.tail is None or minute_of(head.tail.last_at) < low:
        near: list[UnchangedPrice] = [head.tail] if head.tail else []
        return RunChange(head, near, merge_points(near, (), points), None)
    around = read_neighbouring_runs(session, head, low, high)
    return RunChange(head, around.runs, merge_points(around.runs, around.points, points), around.next_at)


def _take_out(session: Session, head: SeriesHead, gone: Sequence[PriceStep]) -> None:
    if gone:
        within = PriceCanonical.from_at.between(gone[0].from_at, gone[-1].from_at)
        session.execute(delete(PriceCanonical).where(PriceCanonical.series_id == head.id, within))


def _clear_steps(session: Session, head: SeriesHead, start: datetime, end: datetime | None) -> None:
    """Clear the steps from `start` to `end`: their runs may have been thinned out before them."""
    ours, from_at, until_at = PriceCanonical.series_id == head.id, PriceCanonical.from_at, PriceCanonical.until_at
    inside = from_at >= start if end is None else and_(from_at >= start, from_at < end)
    session.execute(delete(PriceCanonical).where(ours, inside))
    lasts = or_(until_at.is_(None), until_at > start)
    session.execute(update(PriceCanonical).where(ours, from_at < start, lasts).values(until_at=start))


def _record(session: Session, changes: Sequence[PriceChange], now: datetime) -> None:
    columns = ("region", "zone", "instance_type", "from_at", "until_at", "recorded_at")
    rows = [(one.region, one.zone, one.instance_type, one.span.from_at, one.span.until_at, now) for one in changes]
    insert_rows(session, "price_corrections", columns, rows)


def _tail(one: RunChange) -> dict[str, Any]:
    """The pool's newest run: the last of these, unless another run follows."""
    run = one.after[-1] if one.next_at is None else one.head.tail
    assert run is not None  # the run that follows
    return {
        "tail_at": run.at,
        "tail_usd": run.usd,
        "tail_source": run.source.value,
        "tail_last_at": run.last_at,
        "tail_last_source": run.last_source.value,
    }


def _aside(digest: str, one: SetAsidePrice, now: datetime) -> dict[str, Any]:
    region, zone, kind, at, price, currency = (str(word)[:_LONGEST_WORD] for word in one.said)
    said = {"region": region, "zone": zone, "instance_type": kind, "at": at, "price": price, "currency": currency}
    return said | {"id": digest, "source": one.source.value, "reason": one.reason.value, "seen_at": now}
