"""The undo of a launch is registered after the launch, so a launch whose answer was lost is forgotten."""

from __future__ import annotations

from domain.blueprint import Blueprint
from domain.pools import Candidate
from workflows.operations import replacement_instances
from workflows.operations.base import Operation
from workflows.operations.capacity_log import Replacement
from workflows.operations.undo import UndoStack

_launch = replacement_instances._launch


async def late(op: Operation, blueprint: Blueprint, candidate: Candidate, number: int) -> Replacement:
    own, op.undo = op.undo, UndoStack()
    try:
        replacement = await _launch(op, blueprint, candidate, number)
        own._entries += op.undo._entries
    finally:
        op.undo = own
    return replacement


replacement_instances._launch = late
