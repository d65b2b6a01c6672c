"""A drift finding: a difference between EC2 and the records, and the action on it, with its time and reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class DriftKind(StrEnum):
    UNKNOWN_RESOURCE = "unknown_resource"  # it has our tags, and no record explains it
    RETIRED_RESOURCE = "retired_resource"  # in the ledger, and not used any more
    RECORD_GONE = "record_gone"  # in the ledger, but EC2 does not have it any more
    NEVER_MADE = "never_made"  # intended by an operation that has ended
    VANISHED_PRIMARY = "vanished_primary"
    VANISHED_REPLICA = "vanished_replica"
    SILENT_AGENT = "silent_agent"
    NO_PRIMARY = "no_primary"
    NO_WORKFLOW = "no_workflow"  # an active server whose ServerWorkflow does not run
    STUCK_WORKFLOW = "stuck_workflow"  # its ServerWorkflow runs, but its tasks fail
    UNWATCHED = "unwatched"  # its agent reaches the API, but takes no watch from Temporal


class DriftAction(StrEnum):
    REPORT = "report"  # a person decides
    ADOPT = "adopt"  # into the ledger
    REMOVE = "remove"  # at EC2, and from the ledger
    CLOSE = "close"  # the record
    ASK = "ask"  # the server's workflow, to replace what it has lost


class DriftReason(StrEnum):
    """Why a finding has its action."""

    IN_USE = "in_use"  # the server runs on it, or it is attached to what the server runs on
    OPERATION_ENDED = "operation_ended"  # what made it has ended, and the server does without it
    OPERATION_UNDONE = "operation_undone"  # what made it was rolled back, and the data is where it was
    SUPERSEDED = "superseded"  # by age and count; the data is on a volume that serves
    RETIRED = "retired"
    RECENT = "recent"  # kept for as long as the policy says
    ONLY_COPY = "only_copy"  # nothing proves that its data is elsewhere
    HOLDS_DATA = "holds_data"  # data volumes are attached to it
    STRANGE_TAGS = "strange_tags"  # of a client, server or operation that these records do not know
    ADOPTED = "adopted"  # its owner made it
    NOT_PROVEN = "not_proven"  # it carries our tags, and nothing proves that we made it
    ADDRESS = "address"  # an address that is released is lost for good
    EC2_SAYS_SO = "ec2_says_so"  # EC2 lists it as ended
    NOT_LISTED = "not_listed"
    STILL_RUNS = "still_runs"  # the instance runs, its agent is silent
    IMPAIRED = "impaired"  # its status checks fail
    MAY_SERVE = "may_serve"  # what made it needs a person's attention, or the server's primary does not run
    NOTHING_SERVES = "nothing_serves"
    NEVER_TWO = "never_two"  # its workflow may run in a Temporal that was not looked at
    TASKS_FAIL = "tasks_fail"  # Temporal retries, less and less often
    NOT_TAKEN = "not_taken"  # a person has to remove what keeps the agent from Temporal


REMOVED_FIRST = "go_first"  # in a finding's details: what has to be removed before it


class DriftState(StrEnum):
    OPEN = "open"
    ADOPTED = "adopted"
    REMOVED = "removed"
    CLOSED = "closed"
    RESOLVED = "resolved"  # it went away by itself


STATE_AFTER_ACTION: dict[str, DriftState] = {
    DriftAction.ADOPT: DriftState.ADOPTED,
    DriftAction.REMOVE: DriftState.REMOVED,
    DriftAction.CLOSE: DriftState.CLOSED,
}


@dataclass(frozen=True)
class DriftFinding:
    region: str
    kind: DriftKind
    action: DriftAction
    reason: DriftReason
    resource_type: str = ""
    resource_id: str = ""
    client_id: str = ""
    server_id: str = ""
    grace_s: float = 0.0  # seconds from the first sight to the action
    certain: bool = False  # EC2 says so itself: one look is enough
    row_id: int = 0  # of the ledger, where it is about a record
    token: str = ""  # of our call that made it, which proves that it may be removed
    details: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Equal for the same difference when it is found again."""
        subject = self.resource_id or (f"row-{self.row_id}" if self.row_id else self.server_id)
        return f"{self.family}/{subject}"

    @property
    def family(self) -> str:
        """Common to all findings of one kind in one region."""
        return f"{self.region}/{self.kind.value}"
