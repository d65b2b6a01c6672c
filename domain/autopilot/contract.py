"""Contract of the autopilot's activities and workflow: names, inputs, outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from domain.adoption import Plan, PlanInput
from domain.autopilot.decision import DecisionKind
from domain.operations import OperationKind

EVALUATE = "autopilot_evaluate"  # EvaluateInput -> EvaluateResult: decide for every server, and keep the decisions
ASK_SERVER = "autopilot_ask"  # AskServerInput -> str: the operation's ID; empty when the server refused
KEEP_PLAN = "autopilot_keep_plan"  # KeepPlanInput -> None: what a decision that waits for approval would do
RECONSIDER = "autopilot_reconsider"  # ReconsiderInput -> ReconsiderResult: does the decision still hold?

PREVIEW = "autopilot_look"  # PreviewInput -> PreviewResult: what would be decided for one server now, with its figures

AUTOPILOT_WORKFLOW = "AutopilotWorkflow"
CANDIDATES_WORKFLOW = "CandidatesWorkflow"
AUTOPILOT_SCHEDULE = "autopilot"
PASS_LIMIT = timedelta(minutes=15)  # of a pass: its activities' limits add up to less; the next pass waits for its end
REQUESTED_BY = "autopilot"


_OPERATIONS: dict[str, OperationKind] = {
    DecisionKind.MOVE: OperationKind.SWITCH,
    DecisionKind.ON_DEMAND: OperationKind.SWITCH,
    DecisionKind.REPLICA: OperationKind.REPLICA_CREATE,
    DecisionKind.DROP_REPLICA: OperationKind.REPLICA_DROP,
}


def operation_for(kind: str) -> OperationKind:
    """The operation that carries out a decision of this kind."""
    return _OPERATIONS[kind]


@dataclass(frozen=True)
class EvaluateInput:
    """One pass over the fleet. `most_moves`: operations of the autopilot under way at once, over all clients."""

    most_moves: int = 20


@dataclass(frozen=True)
class AskServerInput:
    """A decision whose operation is to be requested from the server's workflow."""

    decision_id: str
    server_id: str
    kind: OperationKind
    priority: int
    pool: str = ""
    keep_old_s: float = 0.0


@dataclass(frozen=True)
class Proposal:
    """A decision that waits for approval, and the input of its plan."""

    decision_id: str
    plan: PlanInput


@dataclass(frozen=True)
class EvaluateResult:
    """`counts`: decisions by kind and reason, "move/cheaper": 3."""

    servers: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    asks: list[AskServerInput] = field(default_factory=list)
    proposals: list[Proposal] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)  # region -> why nothing was decided there


@dataclass(frozen=True)
class KeepPlanInput:
    decision_id: str
    plan: Plan | None = None
    problem: str = ""


@dataclass(frozen=True)
class ReconsiderInput:
    decision_id: str


@dataclass(frozen=True)
class ReconsiderResult:
    holds: bool
    why: str = ""


@dataclass(frozen=True)
class PreviewInput:
    """`candidates`: how many of the best other pools are wanted."""

    server_id: str
    candidates: int = 20


@dataclass(frozen=True)
class PreviewResult:
    """A decision that is not kept. `problem`: why there is none."""

    kind: str = ""
    reason: str = ""
    held_by: str = ""
    to_pool: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
