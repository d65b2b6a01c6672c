"""The fleet's records as a fake: applied once, in order, after those they must come after."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from temporalio.exceptions import ApplicationError

from domain.errors import Failure
from domain.instance_states import ENDED, IllegalMove, InstanceState, change_state
from domain.records import Record, RecordBatch, RecordKind

_BETWEEN = {InstanceState.RUNNING_PRIMARY: InstanceState.PROMOTING, InstanceState.TERMINATED: InstanceState.TERMINATING}


@dataclass
class FakeRecords:
    applied: dict[str, list[Record]] = field(default_factory=dict)  # stream -> its records
    order: list[tuple[str, Record]] = field(default_factory=list)
    states: dict[str, InstanceState] = field(default_factory=dict)
    primary: str = ""
    ledger: dict[str, str] = field(default_factory=dict)  # token or resource -> resource that is there
    intended: set[str] = field(default_factory=set)
    finished: dict[str, str] = field(default_factory=dict)  # operation -> outcome
    violations: list[str] = field(default_factory=list)

    def apply(self, batch: RecordBatch) -> int:
        if batch.after and batch.after not in self.finished:
            raise ApplicationError(f"{batch.stream} waits for {batch.after}", type=Failure.NOT_YET)
        stream = self.applied.setdefault(batch.stream, [])
        for record in batch.records:
            if record.seq <= len(stream):
                continue
            if record.seq != len(stream) + 1:
                self.violations.append(f"{batch.stream}: record {record.seq} after {len(stream)}")
            stream.append(record)
            self.order.append((batch.stream, record))
            self._take(record.kind, record.payload, batch.operation_id)
        return len(stream)

    # --- reading

    def of(self, kind: RecordKind) -> list[dict[str, Any]]:
        return [record.payload for _, record in self.order if record.kind is kind]

    @property
    def holds(self) -> set[str]:
        return set(self.ledger.values())

    @property
    def accepted(self) -> list[str]:
        return [payload["operation_id"] for payload in self.of(RecordKind.OPERATION_ACCEPTED)]

    # --- applying

    def _take(self, kind: RecordKind, payload: dict[str, Any], operation: str) -> None:
        if kind is RecordKind.INSTANCE:
            self._move(payload["instance_id"], InstanceState(payload["state"]))
        elif kind is RecordKind.PRIMARY:
            self._commit(payload)
        elif kind in (RecordKind.OPERATION_FINISHED, RecordKind.OPERATION_ENDED):
            self._finish(operation or payload["operation_id"], payload["outcome"])
        elif kind is RecordKind.RESOURCE_INTENDED:
            self.intended.add(payload["token"])
        elif kind is RecordKind.RESOURCE_MADE:
            self.intended.discard(payload["token"])
            self.ledger[payload["token"]] = payload["resource_id"]
        elif kind is RecordKind.RESOURCE_ADOPTED:
            self.ledger[payload["resource_id"]] = payload["resource_id"]
        elif kind is RecordKind.RESOURCE_GONE:
            self._gone(payload)

    def _move(self, instance_id: str, then: InstanceState) -> None:
        now = self.states.get(instance_id, then)
        try:
            if then in _BETWEEN and now is not then:
                now = change_state(now, _BETWEEN[then])
            self.states[instance_id] = change_state(now, then)
        except IllegalMove as error:
            self.violations.append(f"{instance_id}: {error}")

    def _commit(self, payload: dict[str, Any]) -> None:
        if former := payload.get("former_instance_id"):
            self._move(former, InstanceState(payload["former_state"]))
        self._move(payload["instance_id"], InstanceState.RUNNING_PRIMARY)
        self.primary = payload["instance_id"]
        primaries = [one for one, state in self.states.items() if state is InstanceState.RUNNING_PRIMARY]
        if len(primaries) > 1:
            self.violations.append(f"invariant 1: primaries {', '.join(primaries)}")

    def _finish(self, operation: str, outcome: str) -> None:
        if operation in self.finished:
            self.violations.append(f"{operation} ended twice: {self.finished[operation]}, {outcome}")
        self.finished[operation] = outcome

    def _gone(self, payload: dict[str, Any]) -> None:
        if token := payload.get("token"):
            self.intended.discard(token)
            self.ledger.pop(token, None)
        elif resource := payload.get("resource_id"):
            for key in [key for key, held in self.ledger.items() if held == resource]:
                del self.ledger[key]

    def alive(self) -> list[str]:
        return [one for one, state in self.states.items() if state not in ENDED]
