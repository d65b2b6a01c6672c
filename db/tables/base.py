"""What every table shares.

Few foreign keys, on purpose. Inserting a child locks its parent row shared; with the client's row
as parent, two writers of one client would each hold it shared and then both want it for the event
counter (`db.event_log.writing`): a deadlock for every two operations that start together. And the server's
and the operation's records may arrive in either order.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, MetaData
from sqlalchemy.orm import DeclarativeBase

TABLE = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def seconds_between(start: str, end: str) -> str:
    """SQL of a stored duration in seconds, exact to the microsecond.

    Multiplied, not divided: the scale of a division depends on the session (div_precision_increment).
    """
    return f"TIMESTAMPDIFF(MICROSECOND, {start}, {end}) * 0.000001"


class Base(DeclarativeBase):
    # No fetch of generated columns by INSERT .. RETURNING: MariaDB has it, MySQL has not.
    __mapper_args__ = {"eager_defaults": False}  # noqa: RUF012 - SQLAlchemy declares it so

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
        list[str]: JSON(none_as_null=True),
    }
