"""A cookie stands for a token: at the page alone, with what only the page can know, as long as the token lives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy import func, select, update

from api.__main__ import server_config
from api.access.failed_sign_ins import ADDRESSES, FAILURES, WINDOW_S, FailedSignIns
from db.clients.sign_ins import IDLE, LIFETIME
from db.tables import Audit, SignIn
from tests.api_world import ADMIN, World, problem_type, settings_for, unreachable_database

pytest_plugins = ["tests.api_fixtures"]

PAGE = {"Origin": "http://api.test", "Sec-Fetch-Site": "same-origin"}
WRONG = "spt_client_tok-x_" + "0" * 64


class Browser:
    """Keeps the cookie, and sends what a browser sends with a request of the page's own."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.csrf = ""

    async def sign_in(self, token: str) -> httpx.Response:
        answer = await self.http.post("/api/session", json={"token": token}, headers=PAGE)
        if answer.status_code == 201:
            self.csrf = answer.json()["csrf_token"]
        return answer

    async def call(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        sent = {**PAGE, "X-CSRF-Token": self.csrf, **(headers or {})}
        return await self.http.request(method, path, headers={k: v for k, v in sent.items() if v != "-"}, **more)


@pytest.fixture
def browser(world: World) -> Browser:
    return Browser(world.http)


def cookie_line(answer: httpx.Response) -> str:
    return answer.headers["set-cookie"]


async def test_a_token_is_given_once_and_a_cookie_does_after_that(world: World, browser: Browser) -> None:
    server = world.server()
    answer = await browser.sign_in(world.tenant.token)
    assert answer.status_code == 201
    assert answer.json()["client_id"] == world.tenant.client_id
    assert answer.json()["client_name"] == world.tenant.client_id
    assert answer.json()["kind"] == "client"
    assert datetime.fromisoformat(answer.json()["expires_at"]) > datetime.now(UTC) + timedelta(hours=11)
    line = cookie_line(answer)
    assert line.startswith("spot_session=sps_")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in line.split(";")}
    assert world.tenant.token not in line + answer.text
    assert answer.headers["cache-control"] == "no-store"

    listed = await browser.call("GET", "/api/servers")
    assert [one["id"] for one in listed.json()["items"]] == [server.id]
    assert (await browser.call("POST", f"/api/servers/{server.id}/switch")).status_code == 202
    assert world.temporal.asked[-1][1].requested_by == answer.json()["token_id"]
    shown = await browser.call("GET", "/api/session")
    assert shown.json()["csrf_token"] == browser.csrf
    assert shown.headers["cache-control"] == "no-store"


async def test_nothing_of_the_cookie_is_kept_but_its_digest(world: World, browser: Browser) -> None:
    cookie = cookie_line(await browser.sign_in(world.tenant.token)).split(";")[0].split("=")[1]
    with world.services.database.sessions() as session:
        kept = [str(vars(row)) for row in session.scalars(select(SignIn))]
    assert kept
    assert not any(cookie in row or cookie.removeprefix("sps_") in row for row in kept)


async def test_with_https_the_cookie_is_secure_and_bound_to_the_host(world: World) -> None:
    transport = world.http._transport
    page = {"Origin": "https://api.test"}
    async with httpx.AsyncClient(transport=transport, base_url="https://api.test") as http:
        answer = await http.post("/api/session", json={"token": world.tenant.token}, headers=page)
        assert cookie_line(answer).startswith("__Host-spot_session=")
        assert "Secure" in cookie_line(answer)
        assert "Domain" not in cookie_line(answer)
        assert (await http.get("/api/servers")).status_code == 200
        value = http.cookies["__Host-spot_session"]
        # Under the plain name, which any page of a neighbouring host could have set, it counts for nothing.
        http.cookies.clear()
        assert (await http.get("/api/servers", headers={"Cookie": f"spot_session={value}"})).status_code == 401


async def test_behind_a_proxy_that_takes_tls_off_a_setting_says_https(world: World) -> None:
    world.services.settings = world.services.settings.model_copy(update={"https": True})
    page = {"Origin": "https://api.test"}
    answer = await world.http.post("/api/session", json={"token": world.tenant.token}, headers=page)
    assert cookie_line(answer).startswith("__Host-spot_session=")
    plain = await world.http.post(
        "/api/session", json={"token": world.tenant.token}, headers={"Origin": "http://api.test"}
    )
    assert (plain.status_code, problem_type(plain)) == (403, "cross-site")


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"X-CSRF-Token": "-"}, "no word"),
        ({"X-CSRF-Token": "0" * 64}, "a wrong word"),
        ({"X-CSRF-Token": "é"}, "not even ASCII"),
        ({"Origin": "https://evil.test"}, "another host"),
        ({"Origin": "http://api.test:8081"}, "another port"),
        ({"Origin": "https://api.test"}, "another scheme"),
        ({"Origin": "null"}, "a sandboxed frame"),
        ({"Origin": "http://[", "Sec-Fetch-Site": "-"}, "no address at all"),
        ({"Origin": "-", "Sec-Fetch-Site": "-"}, "nobody says where it comes from"),
    ],
)
async def test_a_cookie_changes_nothing_for_a_foreign_page(
    world: World, browser: Browser, headers: dict[str, str], why: str
) -> None:
    server = world.server()
    await browser.sign_in(world.tenant.token)
    raw = {name: value.encode() for name, value in headers.items()}
    sent = {**{k: v.encode() for k, v in PAGE.items()}, "X-CSRF-Token": browser.csrf.encode(), **raw}
    answer = await world.http.post(
        f"/api/servers/{server.id}/switch", headers=[(k.encode(), v) for k, v in sent.items() if v != b"-"]
    )
    assert (answer.status_code, problem_type(answer)) == (403, "cross-site"), why
    assert world.temporal.asked == []


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_request_that_a_foreign_page_made_has_no_cookie(world: World, browser: Browser, site: str) -> None:
    """Another port of the same host is the same site: SameSite alone would let it in."""
    await browser.sign_in(world.tenant.token)
    assert (await browser.call("GET", "/api/servers", {"Sec-Fetch-Site": site})).status_code == 401
    assert (await browser.call("GET", "/api/events/stream", {"Sec-Fetch-Site": site})).status_code == 401


async def test_the_word_of_one_session_is_worth_nothing_in_another(world: World, browser: Browser) -> None:
    await browser.sign_in(world.other.token)
    theirs = browser.csrf
    await browser.sign_in(world.tenant.token)
    server = world.server()
    answer = await browser.call("POST", f"/api/servers/{server.id}/switch", {"X-CSRF-Token": theirs})
    assert problem_type(answer) == "cross-site"


async def test_a_foreign_page_cannot_sign_somebody_in(world: World) -> None:
    for headers in ({"Origin": "https://evil.test"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await world.http.post("/api/session", json={"token": world.tenant.token}, headers=headers)
        assert problem_type(answer) == "cross-site"
        assert "set-cookie" not in answer.headers


async def test_a_bearers_request_is_not_what_its_cookie_says(world: World, browser: Browser) -> None:
    ours, theirs = world.server(), world.server(world.other)
    await browser.sign_in(world.other.token)
    bearer = world.tenant.headers
    assert (await world.http.get(f"/api/servers/{ours.id}", headers=bearer)).status_code == 200
    assert (await world.http.get(f"/api/servers/{theirs.id}", headers=bearer)).status_code == 404
    assert (await world.http.post(f"/api/servers/{ours.id}/switch", headers=bearer)).status_code == 202
    assert (await world.http.get("/api/servers", headers={"Authorization": "Bearer wrong"})).status_code == 401


async def test_what_is_anothers_is_not_there_for_a_cookie_either(world: World, browser: Browser) -> None:
    theirs = world.server(world.other)
    await browser.sign_in(world.tenant.token)
    acting = {"X-Spot-Client": world.other.client_id}
    for method, path in (
        ("GET", f"/api/servers/{theirs.id}"),
        ("POST", f"/api/servers/{theirs.id}/switch"),
        ("GET", f"/api/clients/{world.other.client_id}"),
    ):
        assert (await browser.call(method, path, acting)).status_code == 404
    assert (await browser.call("GET", "/api/clients")).status_code == 403


async def test_a_revoked_token_takes_its_sessions_with_it(world: World, browser: Browser) -> None:
    place = f"/api/clients/{world.tenant.client_id}/tokens"
    made = (await world.call("POST", place, json={"label": "page"})).json()
    await browser.sign_in(made["token"])
    assert (await browser.call("GET", "/api/servers")).status_code == 200
    await world.call("DELETE", f"{place}/{made['id']}")
    answer = await browser.call("GET", "/api/servers")
    assert (answer.status_code, problem_type(answer)) == (401, "unauthenticated")


async def test_a_deleted_client_takes_its_sessions_with_it(world: World, browser: Browser) -> None:
    await browser.sign_in(world.other.token)
    await world.http.delete(f"/api/clients/{world.other.client_id}", headers=world.admin)
    assert (await browser.call("GET", "/api/servers")).status_code == 401


async def test_another_admin_token_ends_the_sessions_of_the_one_before(world: World, browser: Browser) -> None:
    assert (await browser.sign_in(ADMIN)).json()["kind"] == "admin"
    assert (await browser.call("GET", "/api/clients")).status_code == 200
    for other in ("another-token-of-the-admin", None):
        world.services.settings = world.services.settings.model_copy(
            update={"admin_token": SecretStr(other) if other else None}
        )
        vars(world.services.settings).pop("admin_digest", None)
        assert (await browser.call("GET", "/api/clients")).status_code == 401


async def test_who_signs_out_leaves_nothing_that_could_be_used(world: World, browser: Browser) -> None:
    await browser.sign_in(world.tenant.token)
    copy = dict(world.http.cookies)
    answer = await browser.call("DELETE", "/api/session")
    assert answer.status_code == 204
    assert "Max-Age=0" in cookie_line(answer)
    assert dict(world.http.cookies) == {}
    for name, value in copy.items():
        world.http.cookies.set(name, value)
    assert (await browser.call("GET", "/api/servers")).status_code == 401


@pytest.mark.parametrize(
    ("column", "age"), [("seen_at", IDLE + timedelta(seconds=1)), ("expires_at", timedelta(seconds=1))]
)
async def test_a_session_ends_by_itself(world: World, browser: Browser, column: str, age: timedelta) -> None:
    await browser.sign_in(world.tenant.token)
    with world.services.database.sessions.begin() as session:
        session.execute(update(SignIn).values({column: datetime.now(UTC) - age}))
    assert (await browser.call("GET", "/api/servers")).status_code == 401
    await browser.sign_in(world.tenant.token)
    with world.services.database.sessions() as session:
        ended = select(func.count()).select_from(SignIn).where(SignIn.expires_at < datetime.now(UTC))
        assert session.scalar(ended) == 0, "what has expired is swept"


async def test_use_keeps_a_session_alive_but_not_for_ever(world: World, browser: Browser) -> None:
    await browser.sign_in(world.tenant.token)
    with world.services.database.sessions.begin() as session:
        session.execute(update(SignIn).values(seen_at=datetime.now(UTC) - timedelta(hours=1)))
    await browser.call("GET", "/api/servers")
    until = datetime.fromisoformat((await browser.call("GET", "/api/session")).json()["expires_at"])
    assert until > datetime.now(UTC) + IDLE - timedelta(minutes=1)
    with world.services.database.sessions() as session:
        assert max(row.expires_at for row in session.scalars(select(SignIn))) <= datetime.now(UTC) + LIFETIME


@pytest.mark.parametrize("path", ["register", "heartbeat", "notice", "prices"])
async def test_agents_show_tokens_never_cookies(world: World, browser: Browser, path: str) -> None:
    await browser.sign_in(world.tenant.token)
    answer = await browser.call("POST", f"/api/agents/{path}", json={})
    assert answer.status_code == 401


async def test_an_admin_at_the_page_acts_for_the_client_that_it_picks(world: World, browser: Browser) -> None:
    server = world.server()
    await browser.sign_in(ADMIN)
    assert (await browser.call("POST", f"/api/servers/{server.id}/switch")).status_code == 403
    acting = {"X-Spot-Client": world.tenant.client_id}
    assert (await browser.call("POST", f"/api/servers/{server.id}/switch", acting)).status_code == 202
    who = (await browser.call("GET", "/api/session", acting)).json()
    assert (who["kind"], who["client_id"]) == ("admin", "")


async def test_who_fails_too_often_is_told_to_wait_and_a_right_token_is_let_in(world: World, browser: Browser) -> None:
    for _ in range(FAILURES):
        assert (await browser.sign_in(WRONG)).status_code == 401
    refused = await browser.sign_in(WRONG)
    assert (refused.status_code, problem_type(refused)) == (429, "too-many-attempts")
    assert int(refused.headers["retry-after"]) <= WINDOW_S
    assert (await browser.sign_in(world.tenant.token)).status_code == 201


@pytest.mark.parametrize(("proxies", "theirs"), [("10.0.0.7, 172.16.0.0/12", 401), ("", 429)])
async def test_failures_are_counted_by_the_address_that_a_trusted_proxy_names(
    world: World, proxies: str, theirs: int
) -> None:
    settings = settings_for("mysql://db.test/spot", trusted_proxies=proxies)
    world.services.settings = world.services.settings.model_copy(update={"trusted_proxies": settings.trusted_proxies})
    config = server_config(world.services)
    config.load()
    transport = httpx.ASGITransport(config.loaded_app, client=("172.18.0.1", 50_000))

    async def fail(address: str) -> int:
        headers = {**PAGE, "X-Forwarded-For": address}
        return (await http.post("/api/session", json={"token": WRONG}, headers=headers)).status_code

    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as http:
        assert {await fail("203.0.113.1") for _ in range(FAILURES)} == {401}
        assert await fail("203.0.113.1") == 429
        assert await fail("203.0.113.2") == theirs


async def test_an_address_that_is_none_is_noted_as_far_as_it_fits(world: World) -> None:
    config = server_config(world.services)
    config.load()
    transport = httpx.ASGITransport(config.loaded_app, client=("127.0.0.1", 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as http:
        headers = [(name.encode(), value.encode()) for name, value in PAGE.items()]
        headers.append((b"X-Forwarded-For", b"\xe9" * 100))
        answer = await http.post("/api/session", json={"token": world.tenant.token}, headers=headers)
    assert answer.status_code == 201, answer.text
    with world.services.database.sessions() as session:
        [noted] = session.scalars(select(Audit).where(Audit.client_id == world.tenant.client_id)).all()
    assert noted.remote_address == "?" * 64


@pytest.mark.parametrize("proxies", ["*", "proxy.example.com", "10.0.0.1/8", "10.0.0.1;10.0.0.2"])
def test_a_proxy_that_is_no_address_is_refused_at_start(proxies: str) -> None:
    with pytest.raises(ValidationError, match="addresses or networks"):
        settings_for("mysql://db.test/spot", trusted_proxies=proxies)


@pytest.mark.parametrize("body", [{}, {"token": ""}, {"token": "x" * 600}, {"token": 7}, {"token": "a", "more": 1}])
async def test_a_sign_in_without_a_token_opens_nothing(world: World, body: dict[str, Any]) -> None:
    answer = await world.http.post("/api/session", json=body)
    assert answer.status_code in (401, 422)
    assert "set-cookie" not in answer.headers


async def test_a_rescue_from_the_page_goes_through_while_the_database_is_down(world: World, browser: Browser) -> None:
    """Invariant 6, for a cookie that was seen a moment ago; the word is still asked for."""
    server = world.server()
    await browser.sign_in(world.tenant.token)
    await browser.call("POST", f"/api/servers/{server.id}/failover")
    world.services.database = unreachable_database()
    assert (await browser.call("POST", f"/api/servers/{server.id}/failover")).status_code == 202
    foreign = await browser.call("POST", f"/api/servers/{server.id}/failover", {"X-CSRF-Token": "0"})
    assert problem_type(foreign) == "cross-site"


def test_an_address_may_try_again_after_its_window_and_others_meanwhile() -> None:
    now = [0.0]
    attempts = FailedSignIns(lambda: now[0])
    for _ in range(FAILURES):
        assert attempts.wait_s("a") == 0
        attempts.failed("a")
    assert attempts.wait_s("a") == WINDOW_S
    assert attempts.wait_s("b") == 0
    now[0] = WINDOW_S + 1
    assert attempts.wait_s("a") == 0
    attempts.failed("a")
    assert attempts.wait_s("a") == 0
    for n in range(ADDRESSES + 10):
        attempts.failed(str(n))
    assert len(attempts._failed) == ADDRESSES
