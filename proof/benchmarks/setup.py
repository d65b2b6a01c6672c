"""What every measure gets: its options, and a stack or a database."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from lab.stack import database
from lab.stack.ports import Leases
from lab.stack.settings import StackSettings
from lab.stack.stack import Stack
from lab.stack.temporary_schema import TemporarySchema, check_server

T = TypeVar("T")


@dataclass
class MeasureSetup:
    """`server`: the database server of DATABASE_URL; empty: a private one for each measure."""

    var: Path
    quick: bool = False
    server: str = ""
    say: Callable[[str], None] = print
    details: dict[str, Any] = field(default_factory=dict)  # for results.json beside the figures

    def choose(self, full: T, quick: T) -> T:
        return quick if self.quick else full

    @contextmanager
    def stack(self, **settings: Any) -> Iterator[Stack]:
        """A stack in its own folder, which is emptied before and after."""
        with (
            self._folder() as var,
            Stack(StackSettings(var=var, database_server=self.server, **settings), report=lambda _: None) as running,
        ):
            yield running

    @contextmanager
    def database(self) -> Iterator[database.Database]:
        """A database with an empty schema and nothing else."""
        with self._folder() as var, Leases() as leases:
            if self.server:
                check_server(self.server)
                guest = TemporarySchema(self.server, leases.port(), var / "way.log")
                guest.create()
                try:
                    # Not through the proxy: it would be measured, and nothing is cut here.
                    yield database.Database(guest.direct_url)
                finally:
                    guest.drop()
            else:
                with database.private(var, leases.port()) as server:
                    yield server

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        self._forget()
        self.var.mkdir(parents=True)
        try:
            yield self.var
        finally:
            self._forget()

    def _forget(self) -> None:
        database.clean(self.var)
        shutil.rmtree(self.var, ignore_errors=True)
