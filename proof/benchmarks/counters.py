"""What processes and the database server count about themselves. A busy machine distorts it less than durations."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Engine, text

_TICKS = os.sysconf("SC_CLK_TCK")


def processor_ms(pids: Mapping[str, int]) -> dict[str, float]:
    """Processor time of each process since its start, user and system together."""
    return {name: _processor_ms(pid) for name, pid in pids.items()}


def between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {name: after[name] - before[name] for name in before}


def _processor_ms(pid: int) -> float:
    """proc(5): fields 14 and 15 of `stat`. The second field, a name in brackets, may hold anything."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mib(pid: int) -> float:
    """Resident memory now (proc(5), `VmRSS`)."""
    status = Path(f"/proc/{pid}/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(kib) / 1024, 1)


def status_counter(engine: Engine, name: str) -> int:
    """A counter of `SHOW GLOBAL STATUS`: of all connections, since the server's start."""
    with engine.connect() as connection:
        return int(connection.execute(text("SHOW GLOBAL STATUS LIKE :name"), {"name": name}).one()[1])


def statements(engine: Engine) -> int:
    return status_counter(engine, "Questions")


def pages_from_disk(engine: Engine) -> int:
    """Pages that InnoDB had to read, since they were not in its memory."""
    return status_counter(engine, "Innodb_buffer_pool_reads")
