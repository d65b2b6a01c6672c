"""One pass over a fleet: for every server a decision, and what its policy makes of it.

Servers with the same needs and possible pools share one appraisal of the market, so the work depends on the number of
kinds of servers, not of servers. domain.autopilot.fleet_decision keeps a client's limits on crowding, for those of its
servers that may be moved now; the others count where they are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from domain.autopilot.appraisal import Appraisal, RatedOffer, appraise_rated, rate_offers
from domain.autopilot.crowding import FleetLimits, crowding_limits, with_positions
from domain.autopilot.decision import Decision, DecisionKind
from domain.autopilot.decision_inputs import Needs, ServerPosition
from domain.autopilot.experience import Experience, experience_key, learn_from_watched, needs_in_words
from domain.autopilot.fleet_decision import NO_LIMITS, FleetMember, RestOfFleet, decide_fleet, decide_replicas
from domain.autopilot.forecast_ratings import ForecastRatings
from domain.autopilot.policy_gates import Gate, ServerConditions, Verdict, apply_gates, asks_for_change
from domain.autopilot.pool_supply import RegionPlatform, Supply
from domain.autopilot.server_decision import decide_server
from domain.autopilot.tuning import DEFAULT_TUNING, Tuning
from domain.market.on_demand_prices import LINUX

NOT_ALLOWED = "the server's policy or network does not allow it"
ExperienceByKey = dict[str, tuple[Mapping[str, str | float | None], Experience]]  # by key, with the needs in words


@dataclass(frozen=True)
class ServerCase:
    """A server to decide for. `pools`: where it may go. `replica_ours`: the autopilot has created its replica.
    `left_out`: what is not in the figures, and why."""

    server_id: str
    client_id: str
    position: ServerPosition
    needs: Needs
    pools: frozenset[str]
    conditions: ServerConditions
    region: str = ""
    platform: str = LINUX
    replica_ours: bool = False
    left_out: str = ""

    @property
    def where(self) -> RegionPlatform:
        return self.region, self.platform


@dataclass(frozen=True)
class OperationBudget:
    """How many operations of the autopilot may run, over all and by client; and where the other servers are."""

    over_all: int
    limits: Mapping[str, FleetLimits] = field(default_factory=dict)
    under_way: Mapping[str, int] = field(default_factory=dict)
    others: Mapping[str, RestOfFleet] = field(default_factory=dict)  # by client: servers that are not among the cases


@dataclass(frozen=True)
class JudgedCase:
    case: ServerCase
    verdict: Verdict
    market: Appraisal
    supply: Supply
    informed: ForecastRatings | None = None  # whose forecasts were used; None: the built-in hazard


@dataclass(frozen=True)
class FleetEvaluation:
    """`judged`: in the order of the cases. `learnt`: the experience with which the next pass begins."""

    judged: list[JudgedCase]
    learnt: ExperienceByKey


@dataclass(frozen=True)
class AppraisedMarket:
    """The market for one kind of server. `key`: its name in `domain.autopilot.fleet_decision`."""

    key: str
    appraisal: Appraisal
    supply: Supply
    informed: ForecastRatings | None = None


def evaluate_fleet(
    cases: Sequence[ServerCase],
    supplies: Mapping[RegionPlatform, Supply],
    at_h: float,
    now: datetime,
    budget: OperationBudget,
    experience: Mapping[str, Experience] | None = None,
    tuning: Tuning = DEFAULT_TUNING,
    informed: Mapping[str, ForecastRatings] | None = None,
) -> FleetEvaluation:
    """`at_h`: `now` in hours, as in the offers' records. `experience`: by key, what was learnt before. `informed`: by
    client, ratings by a model's forecasts."""
    rated = {
        where: {one.pool: one for one in rate_offers(supplies[where].offers.values(), tuning)} for where in supplies
    }
    learnt = _learnt(cases, supplies, rated, at_h, experience or {}, tuning)
    markets = markets_of(cases, supplies, rated, learnt, at_h, tuning, informed or {})
    decided = _Decisions(cases, markets, now, budget, tuning).verdicts()
    judged = [
        JudgedCase(case, verdict, market.appraisal, market.supply, market.informed)
        for case, verdict, market in zip(cases, decided, markets, strict=True)
    ]
    return FleetEvaluation(_within(judged, budget), learnt)


# --- the market, as each kind of server sees it


def _learnt(
    cases: Iterable[ServerCase],
    supplies: Mapping[RegionPlatform, Supply],
    rated: Mapping[RegionPlatform, Mapping[str, RatedOffer]],
    at_h: float,
    experience: Mapping[str, Experience],
    tuning: Tuning,
) -> ExperienceByKey:
    kinds: dict[str, tuple[RegionPlatform, Needs]] = {}
    pools: defaultdict[str, set[frozenset[str]]] = defaultdict(set)
    for where, needs, allowed in {(case.where, case.needs, case.pools) for case in cases}:
        key = experience_key(*where, needs)
        kinds[key] = where, needs
        pools[key].add(allowed)
    found: ExperienceByKey = {}
    for key, (where, needs) in kinds.items():
        known = rated[where]
        some = [known[pool] for pool in sorted(frozenset().union(*pools[key])) if pool in known]
        after = learn_from_watched(experience.get(key), some, supplies[where], needs, at_h, tuning)
        found[key] = needs_in_words(*where, needs), after
    return found


def markets_of(
    cases: Sequence[ServerCase],
    supplies: Mapping[RegionPlatform, Supply],
    rated: Mapping[RegionPlatform, Mapping[str, RatedOffer]],
    learnt: ExperienceByKey,
    at_h: float,
    tuning: Tuning,
    informed: Mapping[str, ForecastRatings],
) -> list[AppraisedMarket]:
    """A market for each case, shared by servers of one kind: their possible pools, and the pools they are in now.
    Clients with different models have different markets."""
    members: defaultdict[tuple[str, RegionPlatform, Needs, frozenset[str]], set[str]] = defaultdict(set)
    sources = {one.model: one for one in informed.values()}
    by_client = {client: one.model for client, one in informed.items()}
    for case in cases:
        key = by_client.get(case.client_id, ""), case.where, case.needs, case.pools
        members[key] |= {case.position.pool, case.position.replica}
    made: dict[tuple[str, RegionPlatform, Needs, frozenset[str]], AppraisedMarket] = {}
    for number, ((model, where, needs, pools), here) in enumerate(members.items()):
        caution = learnt[experience_key(*where, needs)][1].caution(tuning)
        source = sources.get(model)
        seen = source.rated[where] if source else rated[where]
        appraisal = appraise_rated(_seen(pools, here, seen), needs, at_h, caution)
        made[model, where, needs, pools] = AppraisedMarket(str(number), appraisal, supplies[where], source)
    return [made[by_client.get(case.client_id, ""), case.where, case.needs, case.pools] for case in cases]


def _seen(pools: frozenset[str], here: set[str], rated: Mapping[str, RatedOffer]) -> list[RatedOffer]:
    found = [rated[pool] for pool in pools if pool in rated]
    elsewhere = [rated[pool] for pool in here - pools if pool in rated]
    return found + [replace(one, blocked=one.blocked or NOT_ALLOWED) for one in elsewhere]


# --- decisions, of servers and of their replicas


@dataclass(frozen=True)
class _Decisions:
    cases: Sequence[ServerCase]
    markets: Sequence[AppraisedMarket]
    now: datetime
    budget: OperationBudget
    tuning: Tuning

    def verdicts(self) -> list[Verdict]:
        """In the order of the cases: the decision for the server, or for its replica where only that is to change."""
        free = [
            apply_gates(decide_server(case.position, market.appraisal, self.tuning), case.conditions, self.now)
            for case, market in zip(self.cases, self.markets, strict=True)
        ]
        found = list(free)
        for client, numbers in self._clients().items():
            for number, verdict in self._of_client(client, numbers, free):
                found[number] = verdict
        return found

    def _clients(self) -> dict[str, list[int]]:
        """Numbers of the cases by client, sorted by server, so that the order of the cases does not matter."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for number in sorted(range(len(self.cases)), key=lambda number: self.cases[number].server_id):
            found[self.cases[number].client_id].append(number)
        return found

    def _of_client(self, client: str, numbers: Sequence[int], free: Sequence[Verdict]) -> Iterator[tuple[int, Verdict]]:
        """Servers that may be moved are decided within the client's limits, the others as if there were no limits."""
        others = self.budget.others.get(client, RestOfFleet())
        limits = crowding_limits(self.budget.limits.get(client, FleetLimits()), len(numbers) + others.servers)
        known = {self.markets[n].key: self.markets[n].appraisal for n in numbers}
        moves = {self.cases[n].server_id: free[n] for n in numbers}
        if able := [n for n in numbers if limits is not NO_LIMITS and self._may_move(n, free[n])]:
            rest = with_positions(others, [self.cases[n].position for n in sorted(set(numbers) - set(able))])
            within = decide_fleet(self._members(able), known, self.tuning, limits, rest)
            moves |= {
                self.cases[n].server_id: apply_gates(
                    within[self.cases[n].server_id], self.cases[n].conditions, self.now
                )
                for n in able
            }
        acting = {server: verdict.decision for server, verdict in moves.items() if verdict.acts}
        replicas = decide_replicas(self._members(numbers), known, acting, self.tuning, limits, others)
        for n in numbers:
            yield n, self._either(moves[self.cases[n].server_id], replicas.get(self.cases[n].server_id), self.cases[n])

    def _members(self, numbers: Iterable[int]) -> list[FleetMember]:
        return [FleetMember(self.cases[n].server_id, self.cases[n].position, self.markets[n].key) for n in numbers]

    def _may_move(self, number: int, free: Verdict) -> bool:
        """Whether its policy would allow a move now, if the limits required one."""
        return free.acts or (not asks_for_change(free.decision) and self.cases[number].conditions.may_move(self.now))

    def _either(self, own: Verdict, replica: Decision | None, case: ServerCase) -> Verdict:
        """One change at a time: a move of the server goes before a change of its replica."""
        if own.acts or replica is None or not asks_for_change(replica):
            return own
        if replica.kind is DecisionKind.DROP_REPLICA and not case.replica_ours:
            return own  # a person or a policy created it
        verdict = apply_gates(replica, case.conditions, self.now)
        return verdict if verdict.acts or not asks_for_change(own.decision) else own


# --- how many at once


def _within(judged: Sequence[JudgedCase], budget: OperationBudget) -> list[JudgedCase]:
    """Let the most urgent act, then those that save most, as far as the budget goes. Hold the others."""
    left, under_way = budget.over_all - sum(budget.under_way.values()), Counter(budget.under_way)
    held = list(judged)
    turns = sorted((i for i, one in enumerate(judged) if one.verdict.acts), key=lambda i: _turn(judged[i]))
    for index in turns:
        one = judged[index]
        client = one.case.client_id
        most = budget.limits.get(client, FleetLimits()).moves_at_once or budget.over_all
        if one.verdict.ask_first:
            continue  # a proposal starts nothing yet
        if left < 1 or under_way[client] >= most:
            held[index] = replace(one, verdict=replace(one.verdict, gate=Gate.FLEET_LIMIT))
        else:
            left, under_way[client] = left - 1, under_way[client] + 1
    return held


def _turn(one: JudgedCase) -> tuple[int, float, str]:
    return -int(one.verdict.priority), -one.verdict.decision.gain_usd, one.case.server_id


def decision_label(decision: Decision) -> str:
    """The decision in a short form for counts: "move/cheaper"."""
    return f"{decision.kind.value}/{decision.reason.value}"
