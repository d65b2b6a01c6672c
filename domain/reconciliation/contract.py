"""Contract of the reconciliation's activities and workflow: names, inputs, outputs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from domain.reconciliation.drift import DriftFinding

RECONCILE_SURVEY = "reconcile_survey"  # ReconcileInput -> DriftSurvey: EC2 compared with the records
UNATTENDED = "reconcile_unattended"  # ReconcileInput -> DriftSurvey: active servers without a running workflow
AT_REST = "reconcile_at_rest"  # AtRestInput -> AtRestResult: ask the servers' workflows
REPORT = "reconcile_report"  # ReportInput -> ReportResult: keep the findings; which are due
SETTLE = "reconcile_settle"  # SettleInput -> SettleResult: look again, and act where it is still right
REPLACE_LOST = "reconcile_ask"  # LostInstance -> bool: tell a server's workflow that an instance is gone

RECONCILE_WORKFLOW = "ReconcileWorkflow"
RECONCILE_SCHEDULE = "reconcile"

MOST_FINDINGS = 1000  # reported in one pass; the others follow when these are settled
MOST_REMOVALS = 10  # in one pass, so that a wrong rule is noticed before it has emptied an account


@dataclass(frozen=True)
class ReconcileInput:
    """One pass. `regions` empty: those of the worker. `asked`: a person waits for it, so it checks everything."""

    regions: list[str] = field(default_factory=list)
    asked: bool = False


@dataclass(frozen=True)
class DriftSurvey:
    """`looked`: "region/kind" that EC2 told completely. `problems`: what could not be looked at, and why.

    `findings`: the most urgent first.
    """

    findings: list[DriftFinding] = field(default_factory=list)
    looked: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)  # servers that were left alone
    resources: int = 0  # that EC2 has with our tags or in our ledger
    left_out: int = 0
    cut: list[str] = field(default_factory=list)  # "region/kind of finding" of which some were left out
    calls: list[str] = field(default_factory=list)
    attempts: int = 1

    def bounded(self) -> DriftSurvey:
        """The same with the first MOST_FINDINGS findings, and the names of what is left out."""
        left_out = self.findings[MOST_FINDINGS:]
        cut = sorted({*self.cut, *(one.family for one in left_out)})
        told = self.findings[:MOST_FINDINGS]
        return replace(self, findings=told, left_out=self.left_out + len(left_out), cut=cut)

    def after(self, first: DriftSurvey) -> DriftSurvey:
        """Both surveys as one; the findings of `other` come first."""
        both = replace(
            self,
            findings=[*first.findings, *self.findings],
            looked=[*first.looked, *self.looked],
            problems=[*first.problems, *self.problems],
            left_out=first.left_out + self.left_out,
            cut=[*first.cut, *self.cut],
        )
        return both.bounded()


@dataclass(frozen=True)
class AtRestInput:
    server_ids: list[str]


@dataclass(frozen=True)
class AtRestResult:
    """Servers whose workflow says that nothing is under way there, and those for which none runs (any more)."""

    at_rest: list[str] = field(default_factory=list)
    without_workflow: list[str] = field(default_factory=list)
    instances: list[str] = field(default_factory=list)  # that the workflows know as theirs: never to be ended


@dataclass(frozen=True)
class ReportInput:
    surveyed: DriftSurvey
    resting: AtRestResult


@dataclass(frozen=True)
class ReportResult:
    found: int = 0  # new ones
    open: int = 0
    resolved: int = 0
    due: list[DriftFinding] = field(default_factory=list)


@dataclass(frozen=True)
class SettleInput:
    due: list[DriftFinding]
    resting: AtRestResult


@dataclass(frozen=True)
class SettleResult:
    """`done`: keys. `left`: key -> why it was left as it is."""

    done: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    lost: list[LostInstance] = field(default_factory=list)  # to be replaced
    calls: list[str] = field(default_factory=list)
    attempts: int = 1


@dataclass(frozen=True)
class LostInstance:
    """An instance of a server that is lost, or will not serve again."""

    key: str
    server_id: str
    instance_id: str


@dataclass(frozen=True)
class ReconcileResult:
    resources: int = 0
    found: int = 0
    open: int = 0
    resolved: int = 0
    done: int = 0
    left: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
