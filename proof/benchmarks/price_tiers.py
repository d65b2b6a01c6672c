"""A million prices through the three tiers, on a private database: `python -m proof.benchmarks.price_tiers DATA`.

DATA is a folder with `prices_*.csv.gz` (columns instance_type, az, timestamp, price_usd_h). Their prices
are repeated, shifted in time, until there are enough. Storing all of them a second time has to change
nothing. Then a day of a region is read. The aim: two minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from sqlalchemy import func, select

from db.engine import schema
from db.engine.session import SessionFactory, make_engine, make_session_factory
from db.market import partitions, tiers
from db.market.canonical import DAY, canonical_checksum, day_of_prices
from db.market.file_loading import text_of
from db.market.heatmap import region_heatmap
from db.market.incoming_prices import AT_ONCE, by_pool
from db.tables import PriceCanonical, PriceConsolidated, PriceObservation, PriceSetAside
from domain.market import spot_price_file
from domain.market.observed_prices import PriceBounds, PriceSource, ReportedPrice
from lab.stack import database
from lab.stack.ports import Leases
from proof.benchmarks import counters

AIM_S = 120
READS = 20
TABLES = (PriceObservation, PriceSetAside, PriceConsolidated, PriceCanonical)
T = TypeVar("T")


class StageTimes:
    """Seconds of each stage, all threads together."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, stage: str, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        try:
            return work()
        finally:
            with self._lock:
                self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - began


def main(arguments: Sequence[str]) -> int:
    given = _parse(arguments)
    with _sessions() as (sessions, pid):
        began = time.perf_counter()
        said = list(_prices(given.data, given.rows))
        read_s = time.perf_counter() - began
        print(f"{len(said):,} prices of {len({one[1:3] for one in said}):,} pools, load {os.getloadavg()[0]:.1f}")
        worked = _worked(pid)
        watch, kept_s = _keep(sessions, said)
        worked = counters.between(worked, _worked(pid))
        _show(read_s, watch, kept_s, worked)
        before = _rows(sessions)
        for what, count in before.items():
            print(f"{what:<24}{count:>14,}")
        _, again_s = _keep(sessions, said)
        same = "the same rows" if _rows(sessions) == before else "OTHER ROWS"
        print(f"{'the same once more':<24}{again_s:8.1f} s   {same}")
        _read(sessions, said)
    return int(read_s + kept_s > AIM_S)


def _show(read_s: float, watch: StageTimes, kept_s: float, worked: dict[str, float]) -> None:
    print(f"{'read the files':<24}{read_s:8.1f} s")
    for stage, seconds in watch.seconds.items():
        print(f"  {stage:<22}{seconds / AT_ONCE:8.1f} s")
    print(f"{'all three tiers':<24}{kept_s:8.1f} s")
    machine = f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores"
    print(f"{'in all':<24}{read_s + kept_s:8.1f} s   aim: {AIM_S} s; {machine}")
    print("processor time of the tiers: " + ", ".join(f"{name} {ms / 1000:.1f} s" for name, ms in worked.items()))


def _worked(pid: int) -> dict[str, float]:
    return counters.processor_ms({"database": pid, "this": os.getpid()})


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="proof.benchmarks.price_tiers", description="Prices through the three tiers.")
    parser.add_argument("data", type=Path, help="a folder with prices_*.csv.gz")
    parser.add_argument("--rows", type=int, default=1_000_000)
    return parser.parse_args(arguments)


@contextmanager
def _sessions() -> Iterator[tuple[SessionFactory, int]]:
    """Sessions on a private database, and the pid of its server."""
    with tempfile.TemporaryDirectory() as folder, Leases() as leases:
        var = Path(folder)
        with database.private(var, leases.port()) as server:
            schema.upgrade(server.url)
            engine = make_engine(server.url)
            partitions.rotate(engine, datetime.now(UTC), timedelta(days=14))
            yield make_session_factory(engine), server.process.pid or 0
            engine.dispose()
        database.clean(var)


def _prices(data: Path, rows: int) -> Iterator[ReportedPrice]:
    """The files' prices, shifted so that the last is now; then the same prices again, each time earlier."""
    files = [spot_price_file.read_price_file(text_of(path)) for path in sorted(data.glob("prices_*.csv.gz"))]
    if not files:
        raise SystemExit(f"there are no prices_*.csv.gz in {data}")
    left, now = rows, datetime.now(UTC).replace(microsecond=0)
    timed = [[(one, datetime.fromisoformat(str(one.at))) for one in file] for file in files]
    spans = [(min(at for _, at in file), max(at for _, at in file)) for file in timed]
    for turn in range(10_000):
        for file, (first, last) in zip(timed, spans, strict=True):
            shift = now - last - turn * (last - first + timedelta(hours=1))
            yield from (one._replace(at=at + shift) for one, at in file[:left])
            left -= min(left, len(file))
            if not left:
                return


def _keep(sessions: SessionFactory, said: list[ReportedPrice]) -> tuple[StageTimes, float]:
    """As `db.market.file_loading` does it, stage by stage."""
    now, watch, began = datetime.now(UTC), StageTimes(), time.perf_counter()

    def keep(batch: list[ReportedPrice]) -> None:
        with sessions.begin() as session:
            admitted = watch("sift", lambda: tiers.admit(session, batch, PriceSource.FILE, PriceBounds(now), now))
            watch("observations", lambda: tiers.observe(session, admitted))
            mended = watch("consolidated", lambda: tiers.consolidate(session, admitted))
            watch("canonical", lambda: tiers.canonise(session, mended, now))
            watch("commit", session.commit)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(keep, by_pool(said)))
    return watch, time.perf_counter() - began


def _rows(sessions: SessionFactory) -> dict[str, int]:
    with sessions() as session:
        counts = {one.__tablename__: session.scalar(select(func.count()).select_from(one)) or 0 for one in TABLES}
        return counts | {"checksum us-east-1": canonical_checksum(session, "us-east-1")}


def _read(sessions: SessionFactory, said: list[ReportedPrice]) -> None:
    """A day of the region with most pools, a month ago."""
    region = max({one.region for one in said}, key=lambda name: len({one[1:3] for one in said if one.region == name}))
    day = datetime.now(UTC) - timedelta(days=30)
    with sessions() as session:
        found, middle, best = _timed(lambda: day_of_prices(session, region, day))
        steps = sum(map(len, found.values()))
        print(f"a day of {region}: {len(found)} pools, {steps} steps, {middle:.0f} ms, best {best:.0f} ms")
        pools, middle, best = _timed(lambda: region_heatmap(session, region, day, day + DAY))
        print(f"the same as a heat map: {len(pools)} pools, {middle:.0f} ms, best {best:.0f} ms")


def _timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """Its result, and the median and minimum of its milliseconds."""
    taken: list[float] = []
    for _ in range(READS):
        began = time.perf_counter()
        found = work()
        taken.append(1000 * (time.perf_counter() - began))
    return found, statistics.median(taken), min(taken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
