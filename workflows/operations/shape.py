"""The server's shape as an operation changes it: from what it began with to what it hands back."""

from __future__ import annotations

from dataclasses import replace

from temporalio.exceptions import ApplicationError

from domain.blueprint import Blueprint
from domain.errors import Failure
from domain.host import Filesystem
from domain.servers import ServerShape


class ShapeDraft:
    def __init__(self, start: ServerShape) -> None:
        self._start = start
        self._now = start
        self._before_handoff: Blueprint | None = None

    @property
    def now(self) -> ServerShape:
        return self._now

    def begin_handoff(self, primary: Blueprint) -> None:
        """`primary`: what the primary has, before anything is taken off it."""
        self._before_handoff = primary

    def learn_filesystems(self, found: list[Filesystem]) -> None:
        self._now = replace(self._now, filesystems=found)

    def learn_blueprint(self, primary: Blueprint) -> None:
        self._now = replace(self._now, blueprint=primary)

    def keep_snapshots(self, snapshot_ids: list[str]) -> None:
        self._now = replace(self._now, kept_snapshots=snapshot_ids)

    def commit(self, shape: ServerShape) -> None:
        self._now = shape

    def undone(self, *, primary_keeps_all: bool) -> ServerShape:
        """As it began; with what the primary had, for its rescue, when not everything may be back on it."""
        if self._before_handoff is None or primary_keeps_all:
            return self._start
        return replace(self._start, blueprint=self._before_handoff, broken_off=True)

    def refuse_if_broken_off(self, seen: Blueprint) -> None:
        """Raise Refused where something of the server is off its primary: a move would leave it behind."""
        had = self._start.blueprint
        if not self._start.broken_off or had is None:
            return
        off = {one.volume_id for one in had.data_volumes} - {one.volume_id for one in seen.data_volumes}
        off |= {one.allocation_id for one in had.elastic_ips} - {one.allocation_id for one in seen.elastic_ips}
        if off:
            raise ApplicationError(
                f"an operation was broken off with {', '.join(sorted(off))} off {seen.instance_id}: put them back on "
                "it, or ask for a failover, which takes them to the replacement",
                type=Failure.REFUSED,
                non_retryable=True,
            )
