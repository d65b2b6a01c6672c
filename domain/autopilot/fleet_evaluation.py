"""One pass over a fleet: for every server a decision, and what its policy makes of it.

Servers with the same needs and the same possible pools share one appraisal of the market, so that ten thousand
servers cost little more than their kinds do. A client's limits on crowding are kept by
domain.autopilot.fleet_decision, for those of its servers that may be moved now; the others count where they are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from domain.autopilot.appraisal import Appraisal, Rated, appraise_rated, rate
from domain.autopilot.crowding import places, rest_of
from domain.autopilot.decision import Decision, Kind
from domain.autopilot.decision_inputs import Needs, Placement
from domain.autopilot.experience import Experience
from domain.autopilot.experience_by_needs import described, key_of, relearn
from domain.autopilot.fleet_decision import NO_LIMITS, Member, Others, decide_fleet, decide_replicas
from domain.autopilot.forecast_ratings import Informing
from domain.autopilot.limits import FleetLimits
from domain.autopilot.policy_gates import Gate, Standing, Verdict, changes, judge
from domain.autopilot.pool_supply import Supply
from domain.autopilot.server_decision import decide
from domain.autopilot.tuning import DEFAULT, Tuning
from domain.market.on_demand_prices import LINUX

NOT_ALLOWED = "the server's policy or network does not allow it"
Where = tuple[str, str]  # region, platform
Learnt = dict[str, tuple[Mapping[str, str | float | None], Experience]]  # by key, with the needs in words


@dataclass(frozen=True)
class Case:
    """A server to decide for. `pools`: where it may go. `replica_ours`: the autopilot has made its replica. `left_out`:
    what is not in the figures, and why."""

    server_id: str
    client_id: str
    placed: Placement
    needs: Needs
    pools: frozenset[str]
    standing: Standing
    region: str = ""
    platform: str = LINUX
    replica_ours: bool = False
    left_out: str = ""

    @property
    def where(self) -> Where:
        return self.region, self.platform


@dataclass(frozen=True)
class Room:
    """How many operations of the autopilot may still be started: over all, and by client; and who else is where."""

    over_all: int
    limits: Mapping[str, FleetLimits] = field(default_factory=dict)
    under_way: Mapping[str, int] = field(default_factory=dict)
    others: Mapping[str, Others] = field(default_factory=dict)  # by client: servers that are not among the cases


@dataclass(frozen=True)
class Judged:
    case: Case
    verdict: Verdict
    market: Appraisal
    supply: Supply
    informed: Informing | None = None  # by whose forecasts; None: the built-in reckoning


@dataclass(frozen=True)
class Evaluation:
    """`judged`: in the order of the cases. `learnt`: the caution that the next pass begins with."""

    judged: list[Judged]
    learnt: Learnt


@dataclass(frozen=True)
class Market:
    """What some servers see, and the key under which it is known to `domain.autopilot.fleet_decision`."""

    key: str
    appraisal: Appraisal
    supply: Supply
    informed: Informing | None = None


def evaluate(
    cases: Sequence[Case],
    supplies: Mapping[Where, Supply],
    at_h: float,
    now: datetime,
    room: Room,
    experience: Mapping[str, Experience] | None = None,
    tuning: Tuning = DEFAULT,
    informed: Mapping[str, Informing] | None = None,
) -> Evaluation:
    """`at_h`: `now` in the hours of the offers' records. `experience`: what was learnt before, by key. `informed`: by
    client, a model's forecasts."""
    rated = {where: {one.pool: one for one in rate(supplies[where].offers.values(), tuning)} for where in supplies}
    learnt = _learnt(cases, supplies, rated, at_h, experience or {}, tuning)
    markets = markets_of(cases, supplies, rated, learnt, at_h, tuning, informed or {})
    decided = _Deciding(cases, markets, now, room, tuning).verdicts()
    judged = [
        Judged(case, verdict, market.appraisal, market.supply, market.informed)
        for case, verdict, market in zip(cases, decided, markets, strict=True)
    ]
    return Evaluation(_within(judged, room), learnt)


# --- the market, as each kind of server sees it


def _learnt(
    cases: Iterable[Case],
    supplies: Mapping[Where, Supply],
    rated: Mapping[Where, Mapping[str, Rated]],
    at_h: float,
    experience: Mapping[str, Experience],
    tuning: Tuning,
) -> Learnt:
    kinds: dict[str, tuple[Where, Needs]] = {}
    pools: defaultdict[str, set[frozenset[str]]] = defaultdict(set)
    for where, needs, allowed in {(case.where, case.needs, case.pools) for case in cases}:
        key = key_of(*where, needs)
        kinds[key] = where, needs
        pools[key].add(allowed)
    found: Learnt = {}
    for key, (where, needs) in kinds.items():
        known = rated[where]
        some = [known[pool] for pool in sorted(frozenset().union(*pools[key])) if pool in known]
        after = relearn(experience.get(key), some, supplies[where], needs, at_h, tuning)
        found[key] = described(*where, needs), after
    return found


def markets_of(
    cases: Sequence[Case],
    supplies: Mapping[Where, Supply],
    rated: Mapping[Where, Mapping[str, Rated]],
    learnt: Learnt,
    at_h: float,
    tuning: Tuning,
    informed: Mapping[str, Informing],
) -> list[Market]:
    """One appraisal for each kind of server, in the order of the cases: its possible pools, and those its members are
    in now. Clients that are informed by different models see different markets."""
    members: defaultdict[tuple[str, Where, Needs, frozenset[str]], set[str]] = defaultdict(set)
    sources = {one.model: one for one in informed.values()}
    by_client = {client: one.model for client, one in informed.items()}
    for case in cases:
        key = by_client.get(case.client_id, ""), case.where, case.needs, case.pools
        members[key] |= {case.placed.pool, case.placed.replica}
    made: dict[tuple[str, Where, Needs, frozenset[str]], Market] = {}
    for number, ((model, where, needs, pools), here) in enumerate(members.items()):
        caution = learnt[key_of(*where, needs)][1].caution(tuning)
        source = sources.get(model)
        seen = source.rated[where] if source else rated[where]
        appraisal = appraise_rated(_seen(pools, here, seen), needs, at_h, caution)
        made[model, where, needs, pools] = Market(str(number), appraisal, supplies[where], source)
    return [made[by_client.get(case.client_id, ""), case.where, case.needs, case.pools] for case in cases]


def _seen(pools: frozenset[str], here: set[str], rated: Mapping[str, Rated]) -> list[Rated]:
    found = [rated[pool] for pool in pools if pool in rated]
    elsewhere = [rated[pool] for pool in here - pools if pool in rated]
    return found + [replace(one, blocked=one.blocked or NOT_ALLOWED) for one in elsewhere]


# --- decisions, of servers and of their replicas


@dataclass(frozen=True)
class _Deciding:
    cases: Sequence[Case]
    markets: Sequence[Market]
    now: datetime
    room: Room
    tuning: Tuning

    def verdicts(self) -> list[Verdict]:
        """In the order of the cases: the server's own decision, or its replica's where that is what there is to do."""
        free = [
            judge(decide(case.placed, market.appraisal, self.tuning), case.standing, self.now)
            for case, market in zip(self.cases, self.markets, strict=True)
        ]
        found = list(free)
        for client, numbers in self._clients().items():
            for number, verdict in self._of_client(client, numbers, free):
                found[number] = verdict
        return found

    def _clients(self) -> dict[str, list[int]]:
        """By server within a client, so that it does not matter in which order the cases come."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for number in sorted(range(len(self.cases)), key=lambda number: self.cases[number].server_id):
            found[self.cases[number].client_id].append(number)
        return found

    def _of_client(self, client: str, numbers: Sequence[int], free: Sequence[Verdict]) -> Iterator[tuple[int, Verdict]]:
        """Who may be moved is decided within the client's limits; who may not is decided as if there were none."""
        others = self.room.others.get(client, Others())
        limits = places(self.room.limits.get(client, FleetLimits()), len(numbers) + others.servers)
        known = {self.markets[n].key: self.markets[n].appraisal for n in numbers}
        moves = {self.cases[n].server_id: free[n] for n in numbers}
        if able := [n for n in numbers if limits is not NO_LIMITS and self._may_move(n, free[n])]:
            rest = rest_of(others, [self.cases[n].placed for n in sorted(set(numbers) - set(able))])
            within = decide_fleet(self._members(able), known, self.tuning, limits, rest)
            moves |= {
                self.cases[n].server_id: judge(within[self.cases[n].server_id], self.cases[n].standing, self.now)
                for n in able
            }
        acting = {server: verdict.decision for server, verdict in moves.items() if verdict.acts}
        replicas = decide_replicas(self._members(numbers), known, acting, self.tuning, limits, others)
        for n in numbers:
            yield n, self._either(moves[self.cases[n].server_id], replicas.get(self.cases[n].server_id), self.cases[n])

    def _members(self, numbers: Iterable[int]) -> list[Member]:
        return [Member(self.cases[n].server_id, self.cases[n].placed, self.markets[n].key) for n in numbers]

    def _may_move(self, number: int, free: Verdict) -> bool:
        """Whether its policy would let it go now, if the limits asked for that."""
        return free.acts or (not changes(free.decision) and self.cases[number].standing.may_move(self.now))

    def _either(self, own: Verdict, replica: Decision | None, case: Case) -> Verdict:
        """One thing at a time: a server that moves does that first."""
        if own.acts or replica is None or not changes(replica):
            return own
        if replica.kind is Kind.DROP_REPLICA and not case.replica_ours:
            return own  # somebody else wanted it
        verdict = judge(replica, case.standing, self.now)
        return verdict if verdict.acts or not changes(own.decision) else own


# --- how many at once


def _within(judged: Sequence[Judged], room: Room) -> list[Judged]:
    """The most urgent and the most saving first, as far as there is room; the rest is held."""
    left, under_way = room.over_all - sum(room.under_way.values()), Counter(room.under_way)
    held = list(judged)
    turns = sorted((i for i, one in enumerate(judged) if one.verdict.acts), key=lambda i: _turn(judged[i]))
    for index in turns:
        one = judged[index]
        client = one.case.client_id
        most = room.limits.get(client, FleetLimits()).moves_at_once or room.over_all
        if one.verdict.ask_first:
            continue  # a proposal starts nothing yet
        if left < 1 or under_way[client] >= most:
            held[index] = replace(one, verdict=replace(one.verdict, gate=Gate.FLEET_LIMIT))
        else:
            left, under_way[client] = left - 1, under_way[client] + 1
    return held


def _turn(one: Judged) -> tuple[int, float, str]:
    return -int(one.verdict.priority), -one.verdict.decision.gain_usd, one.case.server_id


def describe(decision: Decision) -> str:
    """The decision in a short form for counts: "move/cheaper"."""
    return f"{decision.kind.value}/{decision.reason.value}"
