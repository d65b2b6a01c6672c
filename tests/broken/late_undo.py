"""The undo of a launch is registered after the launch: one that worked and was not heard of is forgotten."""

from __future__ import annotations

from domain.blueprint import Blueprint
from domain.pools import Candidate
from workflows import launching
from workflows.operation import Operation
from workflows.replacement import Replacement
from workflows.undo import UndoStack

_launch = launching._launch


async def late(op: Operation, blueprint: Blueprint, candidate: Candidate, number: int) -> Replacement:
    own, op.undo = op.undo, UndoStack()
    try:
        replacement = await _launch(op, blueprint, candidate, number)
        own._entries += op.undo._entries
    finally:
        op.undo = own
    return replacement


launching._launch = late
