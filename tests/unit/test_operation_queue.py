"""What a server says that is under way."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from temporalio import workflow

from domain.operations import OperationKind, OperationRequest
from workflows.server.operation_queue import OperationQueue


def test_an_operation_whose_workflow_is_being_started_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "now", lambda: datetime(2026, 3, 1, tzinfo=UTC))
    queue = OperationQueue("", {})
    queue.add("op-1", OperationRequest("r1", OperationKind.SWITCH))
    assert queue.running_view() is None
    queue.take()
    view = queue.running_view()
    assert view is not None
    assert view.operation_id == "op-1"
