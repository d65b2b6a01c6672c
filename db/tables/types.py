"""Column types that mean the same on MySQL and on MariaDB."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.dialects.mysql import DATETIME, VARCHAR
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """DATETIME(6) in UTC; aware in Python. A naive datetime is refused: nobody knows its zone."""

    impl = DATETIME
    cache_ok = True

    def __init__(self) -> None:
        super().__init__(fsp=6)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no time zone; the database keeps UTC")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Ascii(TypeDecorator[str]):
    """An identifier: compared byte by byte, and a quarter of utf8mb4's index size.

    Other characters are escaped, not refused: MySQL answers "illegal mix of collations" when they
    are compared with an ASCII column, and a caller's made-up ID shall simply not be found.
    """

    impl = VARCHAR
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length, charset="ascii", collation="ascii_bin")

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else value.encode("ascii", "backslashreplace").decode("ascii")

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        return self
