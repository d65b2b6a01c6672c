"""Errors as `application/problem+json` (RFC 9457), each kind with a stable `type`.

Problem                  what a route raises; everything else is turned into one in app.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

URN = "urn:spot-optimizer:problem:"
MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class ProblemKind:
    """One kind of error: its slug never changes once it has been released."""

    slug: str
    status: int
    title: str


UNAUTHENTICATED = ProblemKind("unauthenticated", 401, "A valid token is needed")
FORBIDDEN = ProblemKind("forbidden", 403, "This token may not do that")
CROSS_SITE = ProblemKind("cross-site", 403, "With a cookie, only from a page of this origin")
IDENTITY_REFUSED = ProblemKind("identity-refused", 403, "The instance identity document is not genuine")
NOT_FOUND = ProblemKind("not-found", 404, "There is no such thing")
INSTANCE_NOT_FOUND = ProblemKind("instance-not-found", 404, "There is no such instance in EC2")
INSTANCE_NOT_KNOWN = ProblemKind("instance-not-known", 404, "This instance belongs to no server of yours")
METHOD_NOT_ALLOWED = ProblemKind("method-not-allowed", 405, "Not with this method")
CONFLICT = ProblemKind("conflict", 409, "Not in the present state")
KEY_REUSED = ProblemKind("idempotency-key-reused", 409, "This Idempotency-Key was used for another request")
ALREADY_ADOPTED = ProblemKind("already-adopted", 409, "The instance already belongs to a server")
BEING_ADOPTED = ProblemKind("being-adopted", 409, "The instance is already being adopted")
NAME_TAKEN = ProblemKind("name-taken", 409, "The name is in use")
BUSY = ProblemKind("busy", 409, "Another operation is running")
HAS_REPLICA = ProblemKind("has-replica", 409, "The server has a replica already")
NO_REPLICA = ProblemKind("no-replica", 409, "The server has no replica")
NO_PRIMARY = ProblemKind("no-primary", 409, "The server has no primary")
ENDED = ProblemKind("ended", 409, "The server has ended")
ALREADY_FINAL = ProblemKind("already-final", 409, "The operation is over")
NOTHING_TO_APPROVE = ProblemKind("nothing-to-approve", 409, "Nothing waits for approval")
TOO_LARGE = ProblemKind("too-large", 413, "The request is too large")
INVALID = ProblemKind("invalid-request", 422, "The request has invalid values")
RESUME_REFUSED = ProblemKind("resume-refused", 409, "The server cannot be resumed")
BEING_RESUMED = ProblemKind("being-resumed", 409, "The server is being resumed by another request")
ADOPTION_REFUSED = ProblemKind("adoption-refused", 422, "The instance cannot be adopted as it is")
PERMISSION_MISSING = ProblemKind("aws-permission-missing", 422, "AWS denies a permission")
POOL_REFUSED = ProblemKind("pool-refused", 422, "The pool cannot be used")
SAME_POOL = ProblemKind("same-pool", 422, "The server is in that pool")
CONTRADICTION = ProblemKind("policy-contradiction", 422, "The policy contradicts itself")
MODEL_UNPROVEN = ProblemKind("model-unproven", 409, "Nothing shows the model to be better")
MODEL_REFUSED = ProblemKind("model-refused", 422, "The file cannot be used as a model")
NO_DATA = ProblemKind("no-data", 422, "Nothing was observed in that time")
REFUSED = ProblemKind("refused", 422, "The request cannot be carried out safely")
CONFIRM = ProblemKind("confirmation-needed", 422, "Say that you mean it")
TOO_MANY = ProblemKind("too-many-attempts", 429, "Too many failed attempts")
INTERNAL = ProblemKind("internal", 500, "Something failed on our side")
DATABASE_UNREACHABLE = ProblemKind("database-unreachable", 503, "The database cannot be reached")
TEMPORAL_UNREACHABLE = ProblemKind("temporal-unreachable", 503, "Temporal cannot be reached")
NO_WORKER = ProblemKind("no-worker", 503, "No worker answered in time")
AWS_UNAVAILABLE = ProblemKind("aws-unavailable", 503, "AWS cannot be reached")


class FieldError(BaseModel):
    field: str = Field(description="Path of the value, for example `body.policy.handoff`")
    message: str


class FindingDocument(BaseModel):
    """Something that would be lost, or would stop a move; and the call that helps."""

    model_config = ConfigDict(from_attributes=True)

    code: str
    what: str
    mend: str = ""
    blocking: bool = True


class ProblemDocument(BaseModel):
    type: str
    title: str
    status: int
    detail: str = ""
    instance: str = ""
    request_id: str = ""
    errors: list[FieldError] | None = None
    findings: list[FindingDocument] | None = None


class Problem(Exception):
    """A request that is answered with an error; `headers` go with the answer."""

    def __init__(
        self,
        kind: ProblemKind,
        detail: str = "",
        *,
        errors: Sequence[FieldError] | None = None,
        findings: Sequence[FindingDocument] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{kind.slug}: {detail}")
        self.kind = kind
        self.detail = detail
        self.errors = list(errors) if errors is not None else None
        self.findings = list(findings) if findings is not None else None
        self.headers = dict(headers or {})

    def response(self, path: str, request_id: str) -> JSONResponse:
        document = ProblemDocument(
            type=URN + self.kind.slug,
            title=self.kind.title,
            status=self.kind.status,
            detail=self.detail,
            instance=path,
            request_id=request_id,
            errors=self.errors,
            findings=self.findings,
        )
        content = document.model_dump(mode="json", exclude_none=True)
        return JSONResponse(content, self.kind.status, self.headers, MEDIA_TYPE)


def documented(*kinds: ProblemKind) -> dict[int | str, dict[str, Any]]:
    """OpenAPI `responses` for a route that may answer with these problems."""
    by_status: dict[int | str, list[ProblemKind]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind)
    return {
        status: {
            "description": "; ".join(f"`{kind.slug}`: {kind.title}" for kind in group),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
        }
        for status, group in by_status.items()
    }
