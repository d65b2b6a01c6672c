"""What the database server counts of itself."""

from __future__ import annotations

from sqlalchemy import Engine, text


def status_counter(engine: Engine, name: str) -> int:
    """A counter of `SHOW GLOBAL STATUS`: of everybody, since the server was started."""
    with engine.connect() as connection:
        return int(connection.execute(text("SHOW GLOBAL STATUS LIKE :name"), {"name": name}).one()[1])


def statements(engine: Engine) -> int:
    return status_counter(engine, "Questions")


def pages_from_disk(engine: Engine) -> int:
    """Pages that were needed and not in InnoDB's memory."""
    return status_counter(engine, "Innodb_buffer_pool_reads")
