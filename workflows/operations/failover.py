"""Failover: a server is rescued from an instance that AWS takes, with a deadline.

A ready replica is promoted at once. Otherwise replacements are asked for in several pools at the
same time, never in the one that gave the notice; the first that is healthy wins. A volume's service
is fenced as late as possible: when a replacement is healthy, or when the deadline leaves no more
time. What fails is tried again with what the failed round taught, until a round succeeds.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

from domain import ec2
from domain.blueprint import Blueprint
from domain.errors import Failure
from domain.host import Filesystem
from domain.operations import OperationInput, OperationResult
from domain.pools import Candidate, Pool
from domain.servers import Placement
from workflows.activity_calls import explain, failure_of
from workflows.handoffs.base import HandoffState, HandoffWork
from workflows.handoffs.execution import filesystems_of, finish_handoff, handoff_for, run_handoff
from workflows.operations.base import Operation
from workflows.operations.capacity_log import Replacement
from workflows.operations.hedged_launch import launch_hedged
from workflows.operations.outcome import connect_signals, run_to_outcome
from workflows.operations.planning import pools_to_avoid
from workflows.operations.replacement_instances import discard
from workflows.operations.replica import existing_replica
from workflows.operations.urgency import OperationAborted
from workflows.timeouts import CALL, FENCE_RESERVE_S, REPLICA_PING_S

_ROUNDS = 8
_PAUSE_S = 5.0


@workflow.defn
class FailoverWorkflow:
    @workflow.init
    def __init__(self, start: OperationInput) -> None:
        self.op = Operation(start)
        self.op.urgency.begin_emergency()
        if notice := start.request.notice:
            self.op.take_notice(notice)
        self.surplus: asyncio.Future[None] | None = None  # being ended since a round has its winner
        self.old_gone = False  # EC2's word, not the notice's: an impaired instance may still write
        connect_signals(self.op)

    @workflow.run
    async def run(self, start: OperationInput) -> OperationResult:
        return await run_to_outcome(self.op, self.failover)

    async def failover(self) -> None:
        op = self.op
        blueprint = await op.step("plan", self.look)
        for number in range(_ROUNDS):
            try:
                work = await self.rescue(blueprint, number)
                break
            except (FailureError, OperationAborted) as error:
                await self.after_failed_round(number, error)
        else:
            raise ApplicationError(f"not rescued in {_ROUNDS} rounds", type=Failure.NO_CAPACITY, non_retryable=True)
        op.clear_attention()
        await asyncio.gather(finish_handoff(op, work), op.step("losers", self.surplus_ended))

    async def rescue(self, blueprint: Blueprint, number: int) -> HandoffWork:
        op = self.op
        old = self.primary
        asked = asyncio.ensure_future(self.filesystems(blueprint))  # while capacity is sought: it may take seconds
        try:
            winner = await op.step("launch", lambda: self.replacement(blueprint, number))
            filesystems = op.shape.filesystems if self.old_gone else await asked
        finally:
            await _cancel_and_wait(asked)
        self.surplus = asyncio.ensure_future(end_surplus_launches(op, winner))
        move = HandoffState(blueprint, old, winner, filesystems, old_gone=self.old_gone)
        work = handoff_for(op, move)
        await run_handoff(op, work)
        return work

    async def filesystems(self, blueprint: Blueprint) -> list[Filesystem]:
        if self.old_gone:
            return self.op.shape.filesystems
        return await filesystems_of(self.op, self.primary.instance_id, blueprint)

    async def surplus_ended(self) -> None:
        assert self.surplus is not None, "a rescue that has committed had a winner"
        await self.surplus
        self.op.note(f"{self.op.capacity.attempts - 1} other launches ended")

    async def after_failed_round(self, number: int, error: FailureError | OperationAborted) -> None:
        """Undo the round, say so, and go on: a rescue that stops has lost the server."""
        op = self.op
        if op.committed or (isinstance(error, OperationAborted) and not error.by_notice):
            raise error
        op.urgency.clear_abort()
        await _cancel_and_wait(self.surplus)
        failed = await op.undo.unwind()
        op.needs_attention("; ".join([f"round {number + 1} failed: {explain(error)}", *failed]))
        await workflow.sleep(_PAUSE_S * min(number, 6))

    # --- plan

    @property
    def primary(self) -> Placement:
        assert self.op.start.shape.primary is not None, "ServerWorkflow fails over only a server with a primary"
        return self.op.start.shape.primary

    async def look(self) -> Blueprint:
        """As the instance is now; as it was last seen when it is already gone."""
        known = self.op.shape.blueprint
        request = ec2.InspectInput(self.op.server.region, self.primary.instance_id)
        limits = CALL.cut(15.0) if known else CALL
        try:
            blueprint = (await self.op.ec2(ec2.INSPECT, request, ec2.InspectResult, limits)).blueprint
        except ActivityError as error:
            if known is None:
                raise
            self.op.note(f"as it was last seen: {explain(error)}")
            self.old_gone = failure_of(error) is Failure.GONE
            return known
        if known is not None and self.op.shape.broken_off and known.instance_id == blueprint.instance_id:
            self.op.note("with what an operation that was broken off took off the instance")
            blueprint = replace(known, state=blueprint.state)
        if blueprint.state in ("running", "stopped", "stopping") or known is None:
            return blueprint
        self.op.urgency.doom_old()
        self.old_gone = blueprint.state == "terminated"
        return known

    # --- capacity

    async def replacement(self, blueprint: Blueprint, number: int) -> Replacement:
        if number == 0 and (replica := await self.live_replica(blueprint)):
            return replica
        candidates = await self.candidates(blueprint)
        fence = asyncio.ensure_future(self.fence_in_time(blueprint))
        try:
            return await launch_hedged(self.op, blueprint, candidates, number)
        finally:
            fence.cancel()

    async def live_replica(self, blueprint: Blueprint) -> Replacement | None:
        """The replica, if it answers at once. It is not terminated by a rollback: it was there before."""
        replica = self.op.start.shape.replica
        if replica is None:
            return None
        try:
            return await existing_replica(self.op, blueprint, REPLICA_PING_S)
        except ActivityError as error:
            self.op.capacity.refused(f"replica {replica.instance_id}", explain(error))
            return None

    async def candidates(self, blueprint: Blueprint) -> list[Candidate]:
        """Best pools first; those of the volumes' own zone before all others."""
        avoid = await pools_to_avoid(
            self.op.server, {**self.op.capacity.cool_downs, **self.doomed_pool()}, patience_s=0.7
        )
        ranked = await self.op.ec2(
            ec2.RANK_POOLS,
            ec2.RankInput(self.op.server.region, blueprint, self.op.policy, avoid=avoid, limit=10),
            ec2.RankResult,
        )
        if not blueprint.data_volumes:
            return list(ranked.candidates)
        return sorted(ranked.candidates, key=lambda c: c.pool.zone != blueprint.zone)

    def doomed_pool(self) -> dict[str, float]:
        if not self.op.doomed:
            return {}
        return {self.primary.pool: workflow.now().timestamp() + self.op.policy.cool_down_s}

    async def fence_in_time(self, blueprint: Blueprint) -> None:
        """When no replacement is healthy by then, stop writing while there is time to stop well."""
        left = self.op.urgency.seconds_left(FENCE_RESERVE_S)
        if left is None or not blueprint.data_volumes or self.old_gone:
            return
        await workflow.sleep(left)
        stop = await filesystems_of(self.op, self.primary.instance_id, blueprint)
        nobody = Replacement(Candidate(Pool.parse(self.primary.pool), "", 0.0, 0.0, ""), "")
        work = handoff_for(self.op, HandoffState(blueprint, self.primary, nobody, stop))
        await work.stop_old()
        self.old_gone = self.old_gone or work.state.old_gone


async def end_surplus_launches(op: Operation, winner: Replacement) -> None:
    """The replacements that came second are terminated, each confirmed."""
    await asyncio.gather(*(discard(op, launch) for launch in op.capacity.surplus(winner)))


async def _cancel_and_wait(work: asyncio.Future[Any] | None) -> None:
    """Broken off if it still runs; what it came to has no reader any more."""
    if work is not None:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
