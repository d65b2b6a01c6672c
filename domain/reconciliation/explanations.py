"""A finding in words for people: what it is, why it matters, what will happen, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from domain.reconciliation.drift import DriftAction, DriftKind, DriftReason

_K, _A, _R = DriftKind, DriftAction, DriftReason


@dataclass(frozen=True)
class Explanation:
    what: str
    matters: str
    then: str
    todo: str


_WHAT: Mapping[str, str] = {
    _K.UNKNOWN_RESOURCE: "EC2 has this {type} with our tags, and no record explains it",
    _K.RETIRED_RESOURCE: "the ledger holds this {type}, and its server does without it",
    _K.RECORD_GONE: "the ledger holds this {type}, and EC2 has it no more",
    _K.NEVER_MADE: "an operation that has ended meant to make this {type}, and EC2 has none",
    _K.VANISHED_PRIMARY: "the instance that the server runs on is gone",
    _K.VANISHED_REPLICA: "the server's replica is gone",
    _K.SILENT_AGENT: "the agent on the server's instance has not been heard of",
    _K.NO_PRIMARY: "the server is active, and no instance serves it",
    _K.NO_WORKFLOW: "the server is active, and Temporal runs no {type} for it",
    _K.STUCK_WORKFLOW: "the server's {type} stands still: no worker can carry out its next task",
    _K.UNWATCHED: "the agent tells the API that it lives, and takes no {type} from Temporal",
}
_MATTERS: Mapping[str, str] = {
    _K.UNKNOWN_RESOURCE: "it costs money, and nobody looks after it",
    _K.RETIRED_RESOURCE: "it costs money and serves nobody",
    _K.RECORD_GONE: "the records claim something that is not there",
    _K.NEVER_MADE: "the records claim that something may be there",
    _K.VANISHED_PRIMARY: "the server is down",
    _K.VANISHED_REPLICA: "the next rescue would find no replica",
    _K.SILENT_AGENT: "the server cannot be fenced or moved, and notices come from EventBridge alone",
    _K.NO_PRIMARY: "the server is down, and nothing brings it back",
    _K.NO_WORKFLOW: "nothing rescues it, and whatever is asked of it is refused",
    _K.STUCK_WORKFLOW: "nothing rescues it, and nothing that is asked of it is done",
    _K.UNWATCHED: "the host cannot be fenced or moved, and its notices come from EventBridge alone",
}
_BECAUSE: Mapping[str, str] = {
    _R.IN_USE: "the server uses it",
    _R.OPERATION_ENDED: "the operation that made it has ended, and its server does without it",
    _R.OPERATION_UNDONE: "the operation that made it was undone, and the data is on a volume that serves",
    _R.SUPERSEDED: "newer ones are kept, it is older than the policy keeps it, and nothing depends on it",
    _R.RETIRED: "its server does without it",
    _R.RECENT: "the policy keeps it",
    _R.ONLY_COPY: "nothing proves that its data is elsewhere",
    _R.HOLDS_DATA: "data volumes are attached to it",
    _R.STRANGE_TAGS: "its tags name a client, server or operation that these records do not know as theirs",
    _R.ADOPTED: "its owner made it",
    _R.NOT_PROVEN: "nothing but its tags says that we made it, and backup services copy tags",
    _R.ADDRESS: "an address that is given back is lost for good",
    _R.EC2_SAYS_SO: "EC2 says how it ended",
    _R.NOT_LISTED: "EC2 does not list it",
    _R.STILL_RUNS: "EC2 says that the instance runs",
    _R.IMPAIRED: "EC2's status checks of the instance fail",
    _R.MAY_SERVE: "what made it did not end cleanly, or the server's primary does not run: this one may serve",
    _R.NOTHING_SERVES: "only a person knows what it should run on",
    _R.NEVER_TWO: "its workflow may run in another Temporal, or namespace, and no server may have two",
    _R.NOT_TAKEN: "it is watched again as soon as its agent reaches Temporal",
    _R.TASKS_FAIL: "Temporal tries again, ever less often, and it goes on as soon as a worker has the right code",
}
_THEN: Mapping[str, str] = {
    _A.REPORT: "nothing by itself: {because}",
    _A.ADOPT: "it is taken into the ledger{due}: {because}",
    _A.REMOVE: "it is removed{due}: {because}",
    _A.CLOSE: "the record is closed{due}: {because}",
    _A.ASK: "the server's workflow is asked to replace it{due}: {because}",
}
_TODO: Mapping[tuple[str, str], str] = {
    (_K.UNKNOWN_RESOURCE, _A.REPORT): "look at it in EC2: if it is of use, remove our tags (spot-optimizer:*) from it; "
    "else delete it there",
    (_K.UNKNOWN_RESOURCE, _A.REMOVE): "nothing; to keep it, remove our tags (spot-optimizer:*) from it before then",
    (_K.RETIRED_RESOURCE, _A.REPORT): "look at it in EC2: save what is on it, then end or delete it there",
    (_K.RETIRED_RESOURCE, _A.REMOVE): "nothing; to keep it longer, raise keep_* in the server's policy",
    (
        _K.SILENT_AGENT,
        _A.REPORT,
    ): "on the host: systemctl status spot-agent, journalctl -u spot-agent; can it reach the API and Temporal?",
    (_K.NO_PRIMARY, _A.REPORT): "spot server SERVER shows its last operation and why it failed; lift that, then "
    "spot failover SERVER",
    (_K.NO_WORKFLOW, _A.REPORT): "do the workers use the right Temporal (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE)? If "
    "they do, it has lost the workflow: spot resume SERVER --dry-run, then spot resume SERVER",
    (_K.STUCK_WORKFLOW, _A.REPORT): "the workers' logs say why (Failing workflow task); docs/runbooks/"
    "workflow-tasks-fail.md says what to do",
    (_K.UNWATCHED, _A.REPORT): "on the host: journalctl -u spot-agent says which Temporal it tries, and what keeps it "
    "from there; docs/runbooks/hosts-unwatched.md",
    (_K.VANISHED_PRIMARY, _A.ASK): "spot operations --server SERVER shows the failover",
}


_NOT_PROVEN = (
    "nothing, if a backup service or a person made it: it is never touched (to hear no more of it, remove the "
    "spot-optimizer:* tags from it); if nobody needs it, delete it in EC2"
)


def explain_drift(kind: str, action: str, reason: str, resource_type: str = "", due: str = "") -> Explanation:
    """`due`: the instant of the action; empty: at the next pass."""
    name = resource_type.replace("_", " ") or "thing"
    when = f" at {due}" if due else " at the next pass"
    because = _BECAUSE.get(reason, reason)
    return Explanation(
        _WHAT.get(kind, kind).format(type=name),
        _MATTERS.get(kind, ""),
        _THEN.get(action, action).format(due=when, because=because),
        _NOT_PROVEN if reason == _R.NOT_PROVEN else _TODO.get((kind, action), "nothing"),
    )
