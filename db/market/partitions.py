"""Partitions of the price observations: one for each month, created ahead, and dropped as a whole.

`pYYYYMM` holds a month; the oldest also what is older, and `pmax` what is newer than the newest. So a
price of any time has its partition, even if nobody ever rotates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine, text

from db.tables import PriceObservation

TABLE = PriceObservation.__tablename__
MONTHS_AHEAD = 2
_LAST = "pmax"
_NAMED = re.compile(r"p(\d{4})(\d{2})")
_LOCK_S = 30  # at most, for readers of the table; by default DDL waits for a day


class RotationBusy(Exception):
    """Another process is rotating this schema's partitions: nothing was done, and nothing needs to be."""


def rotate(engine: Engine, now: datetime, keep: timedelta) -> list[str]:
    """Create the coming months, drop those that ended before `now - keep`; return what was dropped.

    Prices are kept for at least `keep`, and at most a month longer. Raise RotationBusy.
    """
    with _rotation_lock(engine) as connection:
        _add(connection, now)
        dropped = [name for name in _months(connection) if _end(name) <= now - keep]
        if dropped:
            connection.execute(text(f"ALTER TABLE {TABLE} DROP PARTITION {', '.join(dropped)}"))
        return dropped


def partitions(connection: Connection) -> list[str]:
    """Their names, in the order of time."""
    query = text(
        "SELECT partition_name FROM information_schema.partitions WHERE table_schema = DATABASE()"
        " AND table_name = :table AND partition_name IS NOT NULL ORDER BY partition_ordinal_position"
    )
    return list(connection.scalars(query, {"table": TABLE}))


def _add(connection: Connection, now: datetime) -> None:
    """Rows of these months that `pmax` holds move into them."""
    known = _months(connection)
    month = _end(known[-1]) if known else now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    parts: list[str] = []
    while month <= now + MONTHS_AHEAD * timedelta(days=31):
        name = f"p{month:%Y%m}"
        parts.append(f"PARTITION {name} VALUES LESS THAN ('{_end(name):%Y-%m-%d %H:%M:%S}')")
        month = _end(name)
    if parts:
        parts.append(f"PARTITION {_LAST} VALUES LESS THAN (MAXVALUE)")
        connection.execute(text(f"ALTER TABLE {TABLE} REORGANIZE PARTITION {_LAST} INTO ({', '.join(parts)})"))


def _months(connection: Connection) -> list[str]:
    return [name for name in partitions(connection) if _NAMED.fullmatch(name)]


def _end(name: str) -> datetime:
    found = _NAMED.fullmatch(name)
    if found is None:
        raise ValueError(f"{name} is no month's partition")
    year, month = int(found[1]), int(found[2])
    return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)


@contextmanager
def _rotation_lock(engine: Engine) -> Iterator[Connection]:
    """A connection of our own without a transaction, since DDL would end one."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.detach()  # its lock and its settings end with it
        connection.execute(text(f"SET SESSION lock_wait_timeout = {_LOCK_S}"))
        # Named locks are global to the server, not to the schema.
        if not connection.scalar(text("SELECT GET_LOCK(LEFT(CONCAT('rotate.', DATABASE()), 64), 0)")):
            raise RotationBusy("partitions are being rotated by another process")
        yield connection
