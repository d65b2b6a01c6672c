"""The cookie that stands for a token in the browser, and what a request with it has to show.

The cookie is random, HttpOnly and SameSite=Strict. With https it is also Secure, and its name begins with `__Host-`,
so that browsers accept it from this host alone. A request that changes something has to come from a page of this
origin. It has to carry a token that only such a page can have read: an HMAC of the cookie.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from api.access.tokens import digest_of
from api.http.problems import CROSS_SITE, Problem
from api.settings import Settings
from db.clients.sign_ins import LIFETIME

PLAIN, HOST = "spot_session", "__Host-spot_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_PREFIX = "sps_"
_OWN_PAGE = frozenset({"same-origin", "none"})  # none: typed by a person, or a bookmark


def new_cookie() -> str:
    return _PREFIX + secrets.token_hex(32)


def is_https(request: Request, settings: Settings) -> bool:
    """As the browser sees it: a proxy may have taken TLS off."""
    return settings.https or request.url.scheme == "https"


def cookie_of(request: Request, settings: Settings) -> str | None:
    """The session's cookie, if the request has one and does not come from a foreign page."""
    cookie = request.cookies.get(HOST if is_https(request, settings) else PLAIN, "")
    if not cookie.startswith(_PREFIX) or request.headers.get("Sec-Fetch-Site", "none") not in _OWN_PAGE:
        return None
    return cookie


def give_cookie(request: Request, response: Response, settings: Settings, cookie: str) -> None:
    _set(request, response, settings, cookie, int(LIFETIME.total_seconds()))


def take_cookie(request: Request, response: Response, settings: Settings) -> None:
    _set(request, response, settings, "", 0)


def _set(request: Request, response: Response, settings: Settings, value: str, seconds: int) -> None:
    https = is_https(request, settings)
    response.set_cookie(
        HOST if https else PLAIN, value, max_age=seconds, path="/", secure=https, httponly=True, samesite="strict"
    )


def csrf_token(settings: Settings, cookie: str) -> str:
    key = settings.signing_key.get_secret_value().encode()
    return hmac.new(key, f"csrf {digest_of(cookie)}".encode(), hashlib.sha256).hexdigest()


def check_csrf(request: Request, settings: Settings, cookie: str) -> None:
    """Raise a Problem unless a page of this origin made the request."""
    if request.method in SAFE:
        return
    check_origin(request, settings, needed=True)
    if not hmac.compare_digest(request.headers.get(CSRF_HEADER, "").encode(), csrf_token(settings, cookie).encode()):
        raise Problem(CROSS_SITE, f"send {CSRF_HEADER} with the `csrf_token` of GET /api/session")


def check_origin(request: Request, settings: Settings, *, needed: bool = False) -> None:
    """Raise a Problem for a request from elsewhere: browsers name its origin, and a page cannot change that."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is None and origin is None and needed:
        raise Problem(CROSS_SITE, "with a cookie the browser has to send Origin or Sec-Fetch-Site; else use a token")
    if site is not None and site != "same-origin":
        raise Problem(CROSS_SITE, f"this request was made by a page of another origin (Sec-Fetch-Site: {site})")
    own = f"{'https' if is_https(request, settings) else 'http'}://{request.headers.get('Host', '')}"
    if origin is not None and not _same(origin, own):
        raise Problem(
            CROSS_SITE, f"this request was made by a page of {origin[:200]}, not of {own}; a proxy has to pass Host on"
        )


def _same(origin: str, own: str) -> bool:
    try:
        return _place(origin) == _place(own)
    except ValueError:
        return False


def _place(origin: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(origin)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
