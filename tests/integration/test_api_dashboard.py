"""The page is served to people, guarded, and from this origin alone; machines get what they always got."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from api.app import create_app
from tests.api_world import World, problem_type

pytest_plugins = ["tests.api_fixtures"]

PERSON = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Mode": "navigate"}
SCRIPT = "assets/index-Ab12Cd34.js"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<!doctype html><title>Spot Optimizer</title>")
    (dist / SCRIPT).write_text("export const a = 1;\n" * 500)
    (dist / f"{SCRIPT}.map").write_text("{}")
    (dist / "favicon.svg").write_text("<svg/>")
    (dist / ".built").write_text("secret")
    (tmp_path / "outside.txt").write_text("secret")
    (dist / "link.txt").symlink_to(tmp_path / "outside.txt")
    return dist


@pytest.fixture
async def http(world: World, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    world.services.settings = world.services.settings.model_copy(update={"dashboard_dir": folder})
    transport = httpx.ASGITransport(create_app(world.services), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/servers/srv-1", "/apiary", "/operations/op-1/steps.html"])
async def test_any_address_of_the_page_gets_the_page_and_no_cache_keeps_it(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path, headers=PERSON)
    assert answer.status_code == 200
    assert "<title>Spot Optimizer" in answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/api", "/api/nothing", "/docs/nothing", "/health/nothing", "/metrics/nothing"])
async def test_what_machines_ask_for_is_never_the_page(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path, headers=PERSON)
    assert (answer.status_code, problem_type(answer)) == (404, "not-found")


async def test_no_other_call_changes_its_meaning(world: World, http: httpx.AsyncClient) -> None:
    assert problem_type(await http.post("/somewhere", headers=world.tenant.headers)) == "not-found"
    assert problem_type(await http.get("/api/agents/notice", headers=world.tenant.headers)) == "method-not-allowed"


async def test_hashed_files_are_kept_for_ever_and_packed(http: httpx.AsyncClient, folder: Path) -> None:
    plain = await http.get(f"/{SCRIPT}", headers={"Accept-Encoding": "identity"})
    assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert plain.headers["content-type"].startswith("text/javascript")
    assert "content-encoding" not in plain.headers
    async with http.stream("GET", f"/{SCRIPT}", headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join([part async for part in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(raw) == plain.content == (folder / SCRIPT).read_bytes()
    assert len(raw) < len(plain.content) / 10


async def test_other_files_are_asked_for_again_and_sent_only_when_changed(http: httpx.AsyncClient) -> None:
    first = await http.get("/favicon.svg")
    assert first.headers["cache-control"] == "no-cache"
    again = await http.get("/favicon.svg", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/assets/index-Gone0000.js",
        "/missing.png",
        "/.built",
        "/link.txt",
        f"/{SCRIPT}.map",
        "/..%2foutside.txt",
        "/assets/..%2f..%2foutside.txt",
        "/%2e%2e/outside.txt",
        "//etc/passwd",
    ],
)
async def test_nothing_but_what_was_built_can_be_asked_for(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert (answer.status_code, problem_type(answer)) == (404, "not-found")


async def test_a_page_that_is_built_anew_is_served_without_a_restart(http: httpx.AsyncClient, folder: Path) -> None:
    await http.get("/")
    new = folder / "assets" / "index-New00000.js"
    new.write_text("new")
    page = folder / "index.new"
    page.write_text("<title>Anew</title>")
    page.rename(folder / "index.html")
    assert "Anew" in (await http.get("/")).text
    assert (await http.get("/assets/index-New00000.js")).text == "new"


async def test_without_a_page_the_way_to_one_is_told(http: httpx.AsyncClient, folder: Path) -> None:
    (folder / "index.html").unlink()
    answer = await http.get("/", headers=PERSON)
    assert answer.status_code == 404
    assert "make dashboard" in answer.text


@pytest.mark.parametrize("path", ["/", f"/{SCRIPT}", "/api/servers", "/health/live", "/api/nothing", "/docs"])
async def test_every_answer_is_guarded(http: httpx.AsyncClient, path: str) -> None:
    headers = (await http.get(path)).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["style-src"] == ("'self' 'unsafe-inline'" if path == "/docs" else "'self'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"


async def test_the_reference_needs_nothing_from_elsewhere(http: httpx.AsyncClient) -> None:
    page = await http.get("/docs")
    found = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(found) == 4
    assert "<script>" not in page.text, "the policy lets no inline script run"
    for place in found:
        assert place.startswith("/docs/")
        assert (await http.get(place)).status_code == 200
    assert "SwaggerUIBundle" in (await http.get("/docs/swagger-ui-bundle.js")).text
    assert (await http.get("/openapi.json")).json()["openapi"].startswith("3.1")
