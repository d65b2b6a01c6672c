"""Every name that two processes must agree on: workflow IDs, task queues, tags, tokens.

Names are derived, never stored: whoever knows a server or an operation knows its workflow.
"""

from __future__ import annotations

import hashlib
import uuid

CONTROL_QUEUE = "control"
EMERGENCY_QUEUE = "emergency"
WEBHOOK_QUEUE = "webhooks"

# How long a worker that died in the middle of a workflow task goes unnoticed, and a notice with it.
# Temporal's own 10 s are more than a rescue has.
WORKFLOW_TASK_S = 3.0

TAG_CLIENT = "spot-optimizer:client"
TAG_SERVER = "spot-optimizer:server"
TAG_OPERATION = "spot-optimizer:operation"
OWN_TAGS = (TAG_CLIENT, TAG_SERVER, TAG_OPERATION)

_NAMESPACE = uuid.UUID("6f1f3d0e-7f43-4a52-9c0a-0c6a3f0f5a11")


def server_workflow_id(server_id: str) -> str:
    return f"server/{server_id}"


def operation_workflow_id(operation_id: str) -> str:
    return f"operation/{operation_id}"


def instance_queue(instance_id: str) -> str:
    """The agent's own task queue: host activities of this instance alone."""
    return f"instance.{instance_id}"


def new_id(prefix: str) -> str:
    """A fresh, unguessable identifier, for example `srv-1f0c…`. Not for use in workflows."""
    return f"{prefix}-{uuid.uuid4().hex[:20]}"


def operation_id(server_id: str, request_id: str) -> str:
    """The same request is the same operation, whoever asks and whenever (invariant 4)."""
    return f"op-{uuid.uuid5(_NAMESPACE, f'{server_id}/{request_id}').hex[:20]}"


def client_token(operation: str, step: str, attempt: int, scope: str = "") -> str:
    """EC2 `ClientToken` of one attempt at one step: 64 ASCII characters, the most EC2 takes.

    One token per attempt and pool (`scope`): with other parameters the same token would be
    refused (`IdempotentParameterMismatch`, EC2 user guide, "Ensuring idempotency").
    """
    return hashlib.sha256(f"{operation}/{step}/{attempt}/{scope}".encode()).hexdigest()


def ownership_tags(client: str, server: str, operation: str) -> dict[str, str]:
    return {TAG_CLIENT: client, TAG_SERVER: server, TAG_OPERATION: operation}
