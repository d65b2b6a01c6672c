"""One pass over the whole fleet: facts are read, the pure policy decides, decisions are kept.

The same code decides again for one server (`server_id`), before a decision is carried out or when a person asks.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from activities.autopilot.fleet_facts import FleetFacts, ServerContext
from activities.ec2.errors import Ec2Failure
from activities.forecasters import Forecasters
from db.autopilot.decisions import (
    NewDecision,
    OpenDecision,
    change_decision_state,
    count_repeated,
    decisions_without_plan,
    drop_decisions_of_ended_servers,
    follow_operations,
    last_decisions,
    open_decisions,
    store_decisions,
    turned_down_targets,
)
from db.autopilot.experiences import experiences, keep_experiences
from db.autopilot.fleet import ClientRow, FleetRow, positions_of, read_clients, read_fleet
from db.autopilot.forecast_models import record_shadow_results
from db.autopilot.in_flight import arrivals_by_client, count_under_way, moves_since, servers_being_moved
from db.engine.session import SessionFactory, in_transaction
from db.market.region_records import PriceRecords, RegionRecords, read_region_records
from domain.adoption import MoveTerms, PlanInput
from domain.autopilot.contract import AskServerInput, EvaluateInput, EvaluateResult, Proposal, operation_for
from domain.autopilot.crowding import Arrival, FleetLimits, with_arrivals, with_positions
from domain.autopilot.decision import DecisionKind
from domain.autopilot.decision_figures import decision_figures
from domain.autopilot.decision_inputs import ServerPosition
from domain.autopilot.experience import Experience
from domain.autopilot.fleet_decision import RestOfFleet
from domain.autopilot.fleet_evaluation import (
    ExperienceByKey,
    JudgedCase,
    OperationBudget,
    ServerCase,
    decision_label,
    evaluate_fleet,
)
from domain.autopilot.policy_gates import WEEK, DecisionState, asks_for_change
from domain.autopilot.pool_supply import RegionPlatform, Supply, hours, supply_of
from domain.autopilot.shadow_comparison import ShadowComparison, compare_shadow
from domain.names import new_id
from domain.operations import OperationKind
from domain.servers import Placement, ServerRef

log = logging.getLogger(__name__)

_LIMITS = TypeAdapter(FleetLimits)
_AFTER_FAILURE, _AFTER_REJECTION = timedelta(minutes=30), timedelta(days=1)
_MOST_PLANS = 20  # a pass waits for them, half a minute or so; the rest is planned by the next ones
_WAITS = frozenset({DecisionState.PROPOSED.value})
_UNDER_WAY = frozenset({DecisionState.APPROVED.value, DecisionState.ASKED.value})


@dataclass
class PassResult:
    """What a pass comes to."""

    servers: dict[str, ServerContext] = field(default_factory=dict)  # by ID
    judged: list[JudgedCase] = field(default_factory=list)
    learnt: ExperienceByKey = field(default_factory=dict)
    shadows: list[ShadowComparison] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)  # region -> why nothing was decided there


@dataclass
class PassInputs:
    """What a pass reads before it decides."""

    rows: list[FleetRow]
    clients: dict[str, ClientRow]
    moved: dict[str, list[datetime]]
    tried: dict[str, set[tuple[str, str]]]
    budget: OperationBudget
    arrivals: dict[str, list[Arrival]]
    records: dict[str, RegionRecords]
    experience: dict[str, Experience]


class FleetPasses:
    def __init__(self, sessions: SessionFactory, facts: FleetFacts, forecasters: Forecasters | None = None) -> None:
        self._sessions = sessions
        self._facts = facts
        self._forecasters = forecasters or Forecasters(sessions)
        self._prices = PriceRecords()

    def run(self, given: EvaluateInput) -> EvaluateResult:
        now = datetime.now(UTC)
        in_transaction(
            self._sessions,
            lambda session: (follow_operations(session, now), drop_decisions_of_ended_servers(session, now)),
        )
        outcome = self.decide(now, given.most_moves)
        return in_transaction(self._sessions, lambda session: _keep(session, outcome, now))

    def decide(self, now: datetime, most_moves: int, server_id: str | None = None) -> PassResult:
        """Decide, and change nothing. With `server_id`: only for that one, as if it had no operation running."""
        with self._sessions() as session:
            read = self._read(session, now, most_moves, server_id)
        outcome, cases, supplies = PassResult(), list[ServerCase](), dict[RegionPlatform, Supply]()
        for region, records in sorted(read.records.items()):
            here = [row for row in read.rows if row.region == region]
            try:
                servers = self._facts.servers(region, here, read.clients)
                prices = self._facts.prices(region, servers, records, now)
                cases += self._facts.cases(region, servers, prices, records, read.moved, read.tried)
            except Ec2Failure as failed:  # EC2 failing in one region must not stop the others
                log.warning("nothing is decided in %s: %s", region, failed.message)
                outcome.skipped[region] = failed.message
                continue
            outcome.servers |= {one.row.server_id: one for one in servers}
            supplies |= {(region, platform): supply_of(some, records.known, now) for platform, some in prices.items()}
        ratings = self._forecasters.ratings(supplies, {case.client_id for case in cases} if server_id else None)
        informed = {client: one for model, one in ratings for client in model.active_for}
        others = read.budget.others or _undecided(read.rows, cases)
        budget = replace(read.budget, others=_with_arrivals(others, read.arrivals))
        found = evaluate_fleet(cases, supplies, hours(now), now, budget, read.experience, informed=informed)
        outcome.judged, outcome.learnt = found.judged, found.learnt
        if server_id is None:
            for _, one in ratings:
                outcome.shadows += compare_shadow(cases, supplies, one, found.learnt, hours(now))
        return outcome

    def _read(self, session: Session, now: datetime, most_moves: int, server_id: str | None) -> PassInputs:
        rows = read_fleet(session, server_id)
        others, arrivals = dict[str, RestOfFleet](), arrivals_by_client(session)
        if server_id is not None:
            rows = [replace(row, busy=False, keeps_old_instance=False) for row in rows]
            others = {row.client_id: _rest_of_fleet(session, row) for row in rows}
            arrivals = {
                row.client_id: [one for one in arrivals.get(row.client_id, []) if one.server_id != server_id]
                for row in rows
            }
        else:
            decided = servers_being_moved(session)
            rows = [replace(row, busy=row.busy or row.server_id in decided) for row in rows]
        clients = read_clients(session)
        limits = {client: _LIMITS.validate_python(row.limits or {}) for client, row in clients.items()}
        return PassInputs(
            rows=rows,
            clients=clients,
            moved=moves_since(session, now - WEEK),
            tried=turned_down_targets(session, now - _AFTER_FAILURE, now - _AFTER_REJECTION),
            budget=OperationBudget(most_moves, limits, count_under_way(session), others),
            arrivals=arrivals,
            records={
                region: read_region_records(session, self._prices, region, now)
                for region in {row.region for row in rows}
            },
            experience=experiences(session),
        )


def _undecided(rows: Sequence[FleetRow], cases: Sequence[ServerCase]) -> dict[str, RestOfFleet]:
    """By client, the servers for which nothing is decided now. They take their places all the same."""
    decided = {case.server_id for case in cases}
    positions: defaultdict[str, list[ServerPosition]] = defaultdict(list)
    for row in rows:
        if row.server_id not in decided:
            positions[row.client_id].append(ServerPosition(row.pool, hours(row.since), row.replica_pool))
    return {client: with_positions(RestOfFleet(), some) for client, some in positions.items()}


def _with_arrivals(
    others: Mapping[str, RestOfFleet], arrivals: Mapping[str, Sequence[Arrival]]
) -> dict[str, RestOfFleet]:
    return dict(others) | {
        client: with_arrivals(others.get(client, RestOfFleet()), some) for client, some in arrivals.items()
    }


def _rest_of_fleet(session: Session, mine: FleetRow) -> RestOfFleet:
    """The rest of the client's fleet, as the tables have it."""
    positions = positions_of(session, mine.client_id)
    return with_positions(RestOfFleet(), [one for server, one in positions.items() if server != mine.server_id])


def _keep(session: Session, outcome: PassResult, now: datetime) -> EvaluateResult:
    """Keep new decisions, count repeated ones, and return what is to be asked of the servers."""
    waiting, last = open_decisions(session), last_decisions(session)
    same: list[str] = []
    new: list[NewDecision] = []
    for one in outcome.judged:
        open_now = waiting.get(one.case.server_id)
        if open_now is not None and open_now.state in _UNDER_WAY:
            continue  # it is being carried out
        before = open_now or last.get(one.case.server_id)
        if before is not None and _is_same(before, one):
            same.append(before.id)
            continue
        if open_now is not None:
            _expire(session, open_now.id, one, now)
        new.append(_new(one))
    store_decisions(session, new, now)
    count_repeated(session, same, now)
    keep_experiences(session, outcome.learnt)
    record_shadow_results(session, outcome.shadows, now.date())
    return _result(session, outcome)


def _result(session: Session, outcome: PassResult) -> EvaluateResult:
    approved = [one for one in open_decisions(session).values() if one.state == DecisionState.APPROVED]
    proposals = [
        Proposal(one.id, _plan(outcome.servers[one.server_id], one.to_pool))
        for one in decisions_without_plan(session)
        if operation_for(one.kind) is OperationKind.SWITCH and one.server_id in outcome.servers
    ]
    return EvaluateResult(
        servers=len(outcome.judged),
        counts=dict(Counter(decision_label(one.verdict.decision) for one in outcome.judged)),
        asks=[
            AskServerInput(
                one.id,
                one.server_id,
                operation_for(one.kind),
                one.priority,
                pool_asked(one.kind, one.to_pool),
                _keep_old_s(one, outcome.servers[one.server_id]),
            )
            for one in approved
            if one.server_id in outcome.servers  # in a region that was skipped: the next pass
        ],
        proposals=proposals[:_MOST_PLANS],
        skipped=outcome.skipped,
    )


def _keep_old_s(one: OpenDecision, known: ServerContext) -> float:
    return known.autopilot.keep_old_s if operation_for(one.kind) is OperationKind.SWITCH else 0.0


def pool_asked(kind: str, to_pool: str) -> str:
    return "" if kind == DecisionKind.DROP_REPLICA else to_pool


def _is_same(before: OpenDecision, one: JudgedCase) -> bool:
    verdict = one.verdict
    if before.state in _WAITS and not (verdict.acts and verdict.ask_first):
        return False
    if before.state not in _WAITS and (before.state != DecisionState.NOTED or verdict.acts):
        return False
    found = (verdict.decision.kind, verdict.decision.reason, verdict.gate, verdict.decision.pool, _informed_by(one))
    kept = (before.kind, before.reason, before.held_by, before.to_pool, before.informed_by)
    return kept == tuple(str(part) for part in found)


def _informed_by(one: JudgedCase) -> str:
    return one.informed.label if one.informed else ""


def _expire(session: Session, decision_id: str, one: JudgedCase, now: datetime) -> None:
    why = f"the market has changed: {decision_label(one.verdict.decision)} to {one.verdict.decision.pool}"
    change_decision_state(session, decision_id, DecisionState.EXPIRED, now, why=why, expected=(DecisionState.PROPOSED,))


def _new(one: JudgedCase) -> NewDecision:
    verdict = one.verdict
    return NewDecision(
        id=new_id("dec"),
        client_id=one.case.client_id,
        server_id=one.case.server_id,
        kind=verdict.decision.kind.value,
        reason=verdict.decision.reason.value,
        held_by=verdict.gate.value,
        from_pool=one.case.position.pool,
        to_pool=verdict.decision.pool,
        state=_state(one),
        priority=int(verdict.priority),
        figures=decision_figures(one),
        informed_by=_informed_by(one),
    )


def _state(one: JudgedCase) -> DecisionState:
    """Approved if the policy lets it pass; proposed if a person has to approve it; else only noted."""
    if not (asks_for_change(one.verdict.decision) and one.verdict.acts):
        return DecisionState.NOTED
    return DecisionState.PROPOSED if one.verdict.ask_first else DecisionState.APPROVED


def _plan(server: ServerContext, pool: str) -> PlanInput:
    row = server.row
    ref = ServerRef(row.server_id, row.client_id, row.name, row.region)
    terms = MoveTerms(row.home_type, server.autopilot)
    return PlanInput(ref, server.policy, Placement(row.instance_id, row.pool), pool, terms=terms)
