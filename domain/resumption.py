"""Resuming: a server whose workflow Temporal has lost gets a new one, from the records and what EC2 has.

One whose instances are gone too has nothing to be resumed with: it is let go, and ends in the records.

What refuses it is found here, in the order in which it is looked at: records and Temporal, EC2, the agent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from domain.adoption import Finding
from domain.blueprint import Blueprint
from domain.names import TAG_CLIENT, TAG_SERVER, server_workflow_id
from domain.operations import OperationStatus
from domain.servers import Handoff, Placement, ServerPolicy, ServerRef

RESUME_SURVEY = "resume_look"  # ResumeInput -> ResumeSurvey: what the records say, and what runs in Temporal
RESUME_REMAINS = "resume_remains"  # ServerRef -> RemainingResources: what is left in EC2 when the primary is gone
RESUME_FENCE = "resume_fence"  # ResumeFenceInput -> ResumeFenceResult: records of the lost workflow stop here

RESUME_WORKFLOW = "ResumeWorkflow"
MEMO_REQUEST, MEMO_DIGEST = "resumed_by", "resumed_digest"  # of the server's workflow: the request that resumed it

_MAY_ACCEPT = frozenset({"silent_agent", "no_data_volume"})


def resume_workflow_id(server_id: str) -> str:
    """One at a time."""
    return f"resume/{server_id}"


@dataclass(frozen=True)
class ResumeInput:
    """`accept`: codes of findings that do not refuse it. `let_go`: no workflow is started, the server ends."""

    server: ServerRef
    request_id: str
    body_digest: str = ""
    requested_by: str = ""  # token ID
    accept: list[str] = field(default_factory=list)
    dry_run: bool = False
    let_go: bool = False


@dataclass(frozen=True)
class ServerRecords:
    """What the tables say of the server: all of its workflow's state that is recorded."""

    active: bool = False
    account_id: str = ""
    policy: ServerPolicy = field(default_factory=ServerPolicy)
    record_seq: int = 0
    primary: Placement | None = None
    replica: Placement | None = None
    cool_downs: dict[str, float] = field(default_factory=dict)
    kept_snapshots: list[str] = field(default_factory=list)
    requests: dict[str, str] = field(default_factory=dict)  # request ID -> body digest, the latest, oldest first
    outcomes: dict[str, OperationStatus] = field(default_factory=dict)  # of the requests' operations
    notices: list[str] = field(default_factory=list)  # acted on to the end
    unfinished: list[str] = field(default_factory=list)  # operations
    let_go_by: str = ""  # the request that it was let go by, if it has ended so
    let_go_digest: str = ""


@dataclass(frozen=True)
class ResumeSurvey:
    """`running`: IDs of the server's workflow and its operations', those that run."""

    recorded: ServerRecords
    running: list[str] = field(default_factory=list)
    resumed_by: str = ""  # the request that the running one was resumed by, or the server let go by
    resumed_digest: str = ""


@dataclass(frozen=True)
class RemainingResources:
    """In words: "volume vol-1 (in-use, attached to i-2)". `instances`: IDs of those among them."""

    found: list[str] = field(default_factory=list)
    instances: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    attempts: int = 1


@dataclass(frozen=True)
class ResumeFenceInput:
    start: ResumeInput
    record_seq: int
    unfinished: list[str]
    reason: str  # that they are ended with


@dataclass(frozen=True)
class ResumeFenceResult:
    record_seq: int  # of the last record: the new workflow's first is the next


@dataclass(frozen=True)
class ResumeResult:
    """Neither `resumed` nor `let_go`: a dry run, or refused by the findings that block. `ended`: operations that
    were unfinished."""

    resumed: bool = False
    let_go: bool = False
    repeated: bool = False  # this very request did it before
    placement: Placement | None = None
    findings: list[Finding] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)


def finished_notices(asked: Mapping[str, OperationStatus]) -> list[str]:
    """Notices whose rescue came to an end; `asked`: request ID -> status. Any other has to be heard anew."""
    over = {OperationStatus.COMMITTED, OperationStatus.ROLLED_BACK, OperationStatus.CANCELLED}
    told = {one: status for one, status in asked.items() if one.startswith("notice/")}
    still = {_notice_of(one) for one, status in told.items() if status not in over}
    return sorted({_notice_of(one) for one in told} - still)


def _notice_of(request_id: str) -> str:
    """`notice/<instance>/<kind>`, and what may follow."""
    return "/".join(request_id.split("/")[1:3])


def findings_from_records(server: ServerRef, looked: ResumeSurvey) -> list[Finding]:
    """What the records and Temporal say against it."""
    own, found = server_workflow_id(server.server_id), []
    if not looked.recorded.active:
        found.append(Finding("server_ended", "the server has ended", "an instance that runs on can be adopted again"))
    if own in looked.running:
        found.append(Finding("workflow_runs", f"{own} runs: there is nothing to resume"))
    for one in looked.running:
        if one != own:
            what = f"{one} still runs in Temporal, and would go on beside the resumed server"
            mend = "wait until it has ended, or cancel it in Temporal: up to its commit it is undone"
            found.append(Finding("operation_runs", what, mend))
    if looked.recorded.active and looked.recorded.primary is None:
        what = "the records name no instance that the server runs on"
        found.append(Finding("no_primary", what, "spot doctor tells what EC2 has of it; or let the server go"))
    return found


def findings_from_ec2(
    server: ServerRef, recorded: ServerRecords, blueprint: Blueprint, account_id: str
) -> list[Finding]:
    """What the primary, as it is at EC2, says against it."""
    found, accounts = [], {recorded.account_id, blueprint.account_id, account_id} - {""}
    if len(accounts) > 1:
        what = f"{blueprint.instance_id} belongs to account {blueprint.account_id}, our credentials to {account_id}"
        found.append(Finding("another_account", what + f", the record says {recorded.account_id or 'none'}"))
    tags = (blueprint.own_tags.get(TAG_CLIENT, "none"), blueprint.own_tags.get(TAG_SERVER, "none"))
    if tags != (server.client_id, server.server_id):
        what = f"{blueprint.instance_id} is tagged as of client {tags[0]}, server {tags[1]}"
        found.append(Finding("strange_tags", what, "find out whose it is; another control plane may hold it"))
    return found


def lacks_data(recorded: ServerRecords, blueprint: Blueprint) -> bool:
    """A handoff that was broken off may have left its volumes between two instances."""
    return recorded.policy.handoff is not Handoff.STATELESS and not blueprint.data_volumes


def no_data_volume(instance_id: str, remains: Sequence[str]) -> Finding:
    what = f"{instance_id} has no data volume, and its server's state is on some"
    mend = 'attach them there, mount them, run the start hook, and resume again; or accept ["no_data_volume"]'
    return Finding("no_data_volume", what + _remaining(remains), mend)


def not_running(instance_id: str, state: str, remains: Sequence[str]) -> Finding:
    """`state`: as EC2 says; empty: it does not know the instance, or it is terminated."""
    mend = (
        f"aws ec2 start-instances --instance-ids {instance_id}, and resume again"
        if state.startswith("stop")
        else "attach the volumes that hold its data to an instance that runs, let the server go, and adopt that"
    )
    return Finding("primary_not_running", f"{instance_id} is {state or 'gone'} at EC2{_remaining(remains)}", mend)


def instances_left(instances: Sequence[str]) -> Finding:
    what = f"EC2 still has {', '.join(instances)} of the server: nothing is let go of that may serve"
    mend = "resume the server and release it then; or terminate the instance, or take our tags off it, and ask again"
    return Finding("instances_left", what, mend)


def _remaining(remains: Sequence[str]) -> str:
    return "; with the server's tags EC2 has " + (", ".join(remains) or "nothing else")


def agent_silent(instance_id: str) -> Finding:
    """Where a server's agent answers is the one sign of which Temporal is its own."""
    what = f"the agent on {instance_id} does not answer in this Temporal: the server's workflow may run in another"
    mend = 'start spot-agent there; if you know that no other control plane holds it, accept ["silent_agent"]'
    return Finding("silent_agent", what, mend)


def blocking_resumption(found: Sequence[Finding], accepted: Sequence[str]) -> list[Finding]:
    may_accept = _MAY_ACCEPT & set(accepted)
    return [one for one in found if one.blocking and one.code not in may_accept]
