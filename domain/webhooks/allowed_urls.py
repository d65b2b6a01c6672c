"""Where a message may go: not into our own network, whoever asks for it.

What a name leads to is known only when it is sent: then `is_public` is asked of every address of it, and the
connection is made to one that was looked at.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

MAX_URL = 2000
_PLAIN = re.compile(r"[!-~]+")  # no space, no control character, nothing outside of ASCII
_INWARD = ("localhost", ".localhost", ".local", ".internal", ".localdomain", ".home.arpa")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# All that IPv6 has given out to be reached by everybody (RFC 4291, IANA). The rest has forms that some network turns
# into an address of its own: NAT64 with a local prefix (RFC 8215), IPv4-compatible, IPv4-translated, site-local.
_GLOBAL = ipaddress.IPv6Network("2000::/3")
# Addresses of IPv6 that lead to one of IPv4: NAT64 (RFC 6052), 6to4 (RFC 3056).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")


def why_url_refused(url: str, *, private: bool) -> str:
    """Why the URL cannot be a webhook's; empty: it can. `private`: http and private addresses are fine."""
    if len(url) > MAX_URL or not _PLAIN.fullmatch(url) or "\\" in url:
        return f"it is no URL of at most {MAX_URL} plain characters"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "it is no URL"
    if parts.scheme != "https" and not (private and parts.scheme == "http"):
        return "it has to begin with https://"
    if not host or port == 0:
        return "it names no host"
    if parts.username is not None or parts.password is not None:
        return "it must not carry a user or password"
    if parts.fragment:
        return "it must not have a fragment"
    return "" if private else _inward(host)


def _inward(host: str) -> str:
    try:
        return "" if is_public(host) else f"{host} is no public address"
    except ValueError:
        pass  # a name: what it leads to is looked at when a message is sent
    name = host.rstrip(".").lower()
    return f"{host} is a name of a private network" if f".{name}".endswith(_INWARD) or name in _INWARD else ""


def is_public(address: str) -> bool:
    """Not loopback, private, link-local (the metadata services), multicast, reserved. Raise ValueError for a name."""
    found = _inner(ipaddress.ip_address(address.split("%")[0]))
    if isinstance(found, ipaddress.IPv6Address) and found not in _GLOBAL:
        return False
    return found.is_global and not found.is_multicast


def _inner(address: _Address) -> _Address:
    """The IPv4 address that one of IPv6 stands for, if it does."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address in _SIX_TO_FOUR:
            return ipaddress.IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
        if address.teredo is not None:
            return ipaddress.IPv4Address("127.0.0.1")  # a tunnel: nobody's webhook
    return address
