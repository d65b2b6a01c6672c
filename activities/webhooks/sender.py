"""Sends one message to one address. Nothing of the answer but its status is read.

The name is resolved here, all its addresses are checked, and the connection goes to one of these: a name that leads
elsewhere a moment later changes nothing. Redirects are not followed, no proxy is used, no connection is kept (it would
belong to the name it was made for), and there is a limit on the whole time.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping

import httpx

from db.webhooks.delivery_log import AttemptResult
from domain.webhooks.allowed_urls import is_public, why_url_refused

log = logging.getLogger(__name__)

CONNECT_S = 5.0
READ_S = 10.0
TOTAL_S = 15.0
_TRIED = 3  # addresses of a name

Resolve = Callable[[str, int], Awaitable[list[str]]]


class UrlRefused(Exception):
    """A message must not be sent to this address."""


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, in the order that the system prefers. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class WebhookSender:
    def __init__(self, *, private: bool, resolve: Resolve = resolve, verify: bool | ssl.SSLContext = True) -> None:
        self._private = private
        self._resolve = resolve
        self._verify = verify
        self._http: httpx.AsyncClient | None = None

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> AttemptResult:
        began = time.monotonic()
        code, error = None, ""
        try:
            async with asyncio.timeout(TOTAL_S):
                code = await self._post(url, headers, body)
        except TimeoutError:
            error = f"no answer within {TOTAL_S:.0f} s"
        except UrlRefused as refused:
            error = f"refused: {refused}"
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as failed:
            error = f"{type(failed).__name__}: {failed}"
        return AttemptResult(code, round((time.monotonic() - began) * 1000), error)

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        target = httpx.URL(url)
        addresses = await self._addresses(url, target)
        failed: httpx.HTTPError | None = None
        for address in addresses[:_TRIED]:
            try:
                return await self._post_to(address, target, headers, body)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failed = error
        raise failed or UrlRefused(f"{target.host} leads nowhere")

    async def _addresses(self, url: str, target: httpx.URL) -> list[str]:
        if why := why_url_refused(url, private=self._private):
            raise UrlRefused(why)
        port = target.port or (443 if target.scheme == "https" else 80)
        addresses = await self._resolve(target.host, port)
        if not self._private and (inward := [one for one in addresses if not is_public(one)]):
            # The client does not learn which address: our resolver knows names of our own network.
            log.warning("a webhook's name %s leads to %s, which is no public address", target.host, inward[0])
            raise UrlRefused(f"{target.host} leads to no public address")
        return addresses

    async def _post_to(self, address: str, target: httpx.URL, headers: Mapping[str, str], body: bytes) -> int:
        sent = {
            **headers,
            "host": target.netloc.decode("ascii"),
            "content-type": "application/json",
            "user-agent": "spot-optimizer",
            "accept-encoding": "identity",
        }
        there = target.copy_with(host=_in_url(address))
        # The certificate is checked against the name, not the address.
        extensions = {"sni_hostname": target.raw_host.decode("ascii")}
        async with self._client().stream("POST", there, headers=sent, content=body, extensions=extensions) as answer:
            return answer.status_code

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:  # made in the loop that uses it
            self._http = httpx.AsyncClient(
                verify=self._verify,
                trust_env=False,
                follow_redirects=False,
                timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
                limits=httpx.Limits(max_keepalive_connections=0),
            )
        return self._http


def _in_url(address: str) -> str:
    return f"[{address}]" if isinstance(ipaddress.ip_address(address.split("%")[0]), ipaddress.IPv6Address) else address
