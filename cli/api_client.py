"""The API as the command line uses it.

CliError                 what went wrong, for the person who typed the command
  ApiProblem             the API refused; carries its problem document
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

TIMEOUT_S = 90.0  # an adoption may take a minute
STREAM_SILENCE_S = 45.0  # three missed heartbeats of a stream


class CliError(Exception):
    """Ends the command with exit code 1 and this message."""


class ApiProblem(CliError):
    """An answer of 4xx or 5xx."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        super().__init__(problem_text(status, document))
        self.status = status
        self.document = dict(document)


class ApiClient:
    """One connection; every request carries the token."""

    def __init__(
        self, url: str, token: str, for_client: str = "", transport: httpx.BaseTransport | None = None
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} | ({"X-Spot-Client": for_client} if for_client else {})
        self._url = url
        self._http = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_S, transport=transport)

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        return self._send("GET", path, params={k: v for k, v in query.items() if v is not None})

    def text(self, path: str, **query: Any) -> str:
        """An answer that is not JSON."""
        return self._answer("GET", path, params={k: v for k, v in query.items() if v is not None}).text

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, key: str = "") -> dict[str, Any]:
        """POST with an Idempotency-Key, a new one unless the caller has one: so it is carried out once."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self._send("POST", path, json=dict(body or {}), headers=headers)

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._send("PATCH", path, json=dict(body))

    def delete(self, path: str, **query: Any) -> dict[str, Any]:
        return self._send("DELETE", path, params=query, headers={"Idempotency-Key": uuid.uuid4().hex})

    def pages(self, path: str, limit: int, **query: Any) -> Iterator[dict[str, Any]]:
        """Up to `limit` items of a list, over as many pages as it takes."""
        cursor: str | None = None
        while limit > 0:
            page = self.get(path, cursor=cursor, limit=min(limit, 500), **query)
            yield from page["items"]
            limit -= len(page["items"])
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def stream(self, path: str, last_id: str) -> Iterator[str]:
        """The lines of a stream; raises httpx.TransportError when it breaks off."""
        headers = {"Last-Event-ID": last_id} if last_id else {}
        timeout = httpx.Timeout(TIMEOUT_S, read=STREAM_SILENCE_S)
        with self._http.stream("GET", path, headers=headers, timeout=timeout) as answer:
            if answer.is_error:
                answer.read()
                raise _problem(answer)
            yield from answer.iter_lines()

    def _send(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = self._answer(method, path, **options)
        content: dict[str, Any] = answer.json() if answer.content else {}
        return content

    def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise CliError(f"the API at {self._url} cannot be reached: {error}; is SPOT_URL right?") from error
        if answer.is_error:
            raise _problem(answer)
        return answer


def _problem(answer: httpx.Response) -> ApiProblem:
    try:
        document = answer.json()
    except ValueError:
        document = {}
    if not isinstance(document, dict) or "title" not in document:
        document = {"title": f"HTTP {answer.status_code}", "detail": answer.text[:300]}
    return ApiProblem(answer.status_code, document)


def problem_text(status: int, document: Mapping[str, Any]) -> str:
    """A problem document as lines for a person: what, why, and what to do."""
    lines = [f"{document.get('title', f'HTTP {status}')}."]
    if detail := document.get("detail"):
        lines.append(str(detail))
    lines += [f"  {error['field']}: {error['message']}" for error in document.get("errors") or []]
    for finding in document.get("findings") or []:
        lines.append(f"  - {finding['what']} [{finding['code']}]")
        if finding.get("mend"):
            lines.append(f"    mend it: {finding['mend']}")
    if status == 401:
        lines.append("Is SPOT_TOKEN set, and of the right client?")
    if status >= 500 and (request_id := document.get("request_id")):
        lines.append(f"(request {request_id})")
    return "\n".join(lines)
