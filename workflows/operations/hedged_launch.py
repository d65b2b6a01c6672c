"""Several pools asked at the same time; the first healthy replacement wins."""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from domain.blueprint import Blueprint
from domain.errors import Failure
from domain.pools import Candidate
from workflows.activity_calls import explain
from workflows.operations.base import Operation
from workflows.operations.capacity_log import Replacement
from workflows.operations.replacement_instances import PoolUnavailable, await_ready, discard, obtain_in_pool


async def launch_hedged(op: Operation, blueprint: Blueprint, candidates: list[Candidate], number: int) -> Replacement:
    """As many lanes as the policy allows, each trying pool after pool from one list.

    The caller ends the surplus launches: `op.capacity` knows them.
    """
    waiting = list(enumerate(candidates))

    async def lane() -> Replacement | None:
        while waiting:
            position, candidate = waiting.pop(0)
            if found := await _launch_in_pool(op, blueprint, candidate, number * 100 + position):
                return found
        return None

    lanes = [asyncio.ensure_future(lane()) for _ in range(max(1, op.policy.failover_pools))]
    try:
        return await _winner(op, lanes, len(candidates))
    finally:
        for task in lanes:
            task.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)


async def _winner(op: Operation, lanes: list[asyncio.Task[Replacement | None]], asked: int) -> Replacement:
    pending = list(lanes)
    while pending:
        done, rest = await workflow.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if found := task.result():
                return found
        pending = list(rest)
    raise ApplicationError(
        f"none of {asked} pools gave a healthy replacement: {'; '.join(op.capacity.refusals[-6:])}",
        type=Failure.NO_CAPACITY,
        non_retryable=True,
    )


async def _launch_in_pool(op: Operation, blueprint: Blueprint, candidate: Candidate, number: int) -> Replacement | None:
    try:
        replacement = await obtain_in_pool(op, blueprint, candidate, number)
    except (PoolUnavailable, ActivityError) as error:
        op.capacity.refused(candidate.pool, explain(error))
        return None
    try:
        await await_ready(op, replacement, check_health=not blueprint.data_volumes)
    except ActivityError as error:
        op.capacity.refused(candidate.pool, explain(error))
        await discard(op, replacement)
        return None
    return replacement
