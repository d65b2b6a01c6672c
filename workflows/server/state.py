"""What a server is: its shape, its policy, what was asked and heard.

One ServerInput brings it into a run, and out of it when the workflow continues as new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from temporalio import workflow

from domain.host import Filesystem
from domain.operations import OperationRequest, OperationStatus, ServerInput
from domain.servers import Placement, ServerPolicy, ServerShape

REQUESTS_KEPT = 500  # across continue-as-new
_NOTICES_KEPT = 100


class ServerState:
    def __init__(self, start: ServerInput) -> None:
        self.server = start.server
        self._policy = start.policy
        self._shape = start.shape
        self._ended = start.ended
        self._requests = dict(start.requests)  # request ID -> digest of what the caller sent
        self._notices = list(start.notices)

    def next_input(self, last_operation: str, record_seq: int, outcomes: dict[str, OperationStatus]) -> ServerInput:
        """What the next run starts with."""
        return ServerInput(
            self.server,
            self._policy,
            self._shape,
            dict(list(self._requests.items())[-REQUESTS_KEPT:]),
            self._notices[-_NOTICES_KEPT:],
            last_operation,
            record_seq,
            self._ended,
            outcomes,
        )

    # --- what was asked and heard

    def digest_of(self, request_id: str) -> str | None:
        """Of what the caller sent with this request ID; None: it was not used yet."""
        return self._requests.get(request_id)

    def was_requested(self, request_id: str) -> bool:
        return request_id in self._requests

    def remember_request(self, request: OperationRequest) -> None:
        self._requests[request.request_id] = request.body_digest

    def hear(self, notice_id: str) -> bool:
        """Remember a notice; True when it is heard for the first time."""
        if notice_id in self._notices:
            return False
        self._notices.append(notice_id)
        return True

    def latest_notices(self, most: int) -> list[str]:
        return self._notices[-most:]

    # --- policy and end

    @property
    def policy(self) -> ServerPolicy:
        return self._policy

    def change_policy(self, policy: ServerPolicy) -> None:
        self._policy = policy

    @property
    def ended(self) -> bool:
        return self._ended

    def end(self) -> None:
        self._ended = True

    # --- the shape

    @property
    def shape(self) -> ServerShape:
        return self._shape

    def placement_of(self, instance_id: str) -> Placement | None:
        found = (one for one in (self._shape.primary, self._shape.replica) if one and one.instance_id == instance_id)
        return next(found, None)

    def lacks_filesystems(self, instance_id: str) -> bool:
        """Whether it matters what this instance mounts, and it is not known yet."""
        primary, blueprint = self._shape.primary, self._shape.blueprint
        if primary is None or primary.instance_id != instance_id or self._shape.filesystems:
            return False
        return bool(blueprint and blueprint.data_volumes)

    def learn_filesystems(self, found: Sequence[Filesystem]) -> None:
        if found:
            self._shape = replace(self._shape, filesystems=list(found))

    def rest_pool(self, pool: str, until: float) -> None:
        """`until`: seconds since 1970."""
        self._shape = replace(self._shape, cool_downs={**self._shape.cool_downs, pool: until})

    def take_committed(self, before: ServerShape, after: ServerShape) -> None:
        """What an operation changed; the rest stays, since another may have changed it meanwhile."""
        now, mine = workflow.now().timestamp(), self._shape
        cool_downs = {**mine.cool_downs, **after.cool_downs}
        self._shape = ServerShape(
            primary=mine.primary if after.primary == before.primary else after.primary,
            replica=mine.replica if after.replica == before.replica else after.replica,
            filesystems=after.filesystems or mine.filesystems,
            cool_downs={pool: until for pool, until in cool_downs.items() if until > now},
            blueprint=mine.blueprint if after.blueprint == before.blueprint else after.blueprint,
            kept_snapshots=(
                mine.kept_snapshots if after.kept_snapshots == before.kept_snapshots else after.kept_snapshots
            ),
            broken_off=mine.broken_off and after.primary == before.primary,
        )

    def take_undone(self, after: ServerShape) -> None:
        """What an operation that was undone has left: a replica that was lost, and pools that rest."""
        mine = self._shape
        self._shape = replace(
            mine,
            replica=None if after.replica is None else mine.replica,
            blueprint=after.blueprint if after.broken_off else mine.blueprint,
            broken_off=after.broken_off or mine.broken_off,
            cool_downs={**mine.cool_downs, **after.cool_downs},
        )
