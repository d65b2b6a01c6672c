"""Models over the API: what is registered, what is refused, and whose decisions they may inform."""

from __future__ import annotations

import base64
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from db.tables import Audit, BacktestRow, Event, ModelRow
from tests.api_world import World, unique
from tests.onnx_models import FEATURES, model, onnx_bytes, patience_with_models, sha256, with_tensor

__all__ = ["patience_with_models"]  # fixtures

pytest_plugins = ["tests.api_fixtures"]

NOW = datetime.now(UTC)
_hazards = (0.001 + 0.0001 * number for number in itertools.count())  # each test's file is another one


@pytest.fixture(autouse=True)
def room(world: World) -> None:
    """Models of other tests are retired: a few may live at once."""
    with world.services.database.sessions.begin() as session:
        session.execute(update(ModelRow).values(state="retired", retired_at=NOW))
        session.connection().exec_driver_sql("UPDATE model_uses SET ended_at = NOW(6) WHERE ended_at IS NULL")


def request(content: bytes | None = None, **values: Any) -> dict[str, Any]:
    content = onnx_bytes(model(next(_hazards))) if content is None else content
    fixed: dict[str, Any] = {
        "name": "small",
        "features": FEATURES,
        "sha256": sha256(content),
        "onnx": base64.b64encode(content).decode(),
        "report": {"beats_built_in": False},
    }
    return fixed | values


async def registered(world: World, **values: Any) -> str:
    answer = await world.http.post("/api/models", json=request(**values), headers=world.admin)
    assert answer.status_code == 201, answer.text
    found: str = answer.json()["id"]
    return found


def proof(world: World, model_id: str, *, cost: float, days: float = 7.0, client_id: str = "", **values: Any) -> str:
    policies = [{"policy": "policy", "cost_usd": 10.0}, {"policy": "model", "cost_usd": cost}]
    fixed: dict[str, Any] = {
        "id": unique("bkt"),
        "client_id": client_id or world.tenant.client_id,
        "state": "done",
        "server_ids": [],
        "from_at": NOW - timedelta(days=days),
        "until_at": NOW,
        "asked": {},
        "model_id": model_id,
        "body_digest": "",
        "requested_at": NOW,
        "requested_by": "tok-1",
        "result": {"policies": policies},
    }
    row: BacktestRow = world.write(BacktestRow(**(fixed | values)))
    return row.id


async def activated(world: World, model_id: str, **values: Any) -> Any:
    body = {"client_id": world.tenant.client_id, **values}
    return await world.http.post(f"/api/models/{model_id}/activate", json=body, headers=world.admin)


def kind(answer: Any) -> str:
    return str(answer.json()["type"].rsplit(":")[-1])


# --- registering


async def test_a_model_is_checked_kept_and_in_shadow(world: World) -> None:
    body = request()
    answer = await world.http.post("/api/models", json=body, headers=world.admin)
    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert (found["state"], found["sha256"], found["report"]) == ("shadow", body["sha256"], body["report"])
    again = await world.http.post("/api/models", json=body, headers=world.admin)
    assert again.json()["id"] == found["id"], "the same file is the same model"
    listed = (await world.call("GET", "/api/models")).json()["items"]
    assert found["id"] in [one["id"] for one in listed]
    assert "content" not in listed[0]


@pytest.mark.parametrize(
    ("content", "values", "why"),
    [
        (onnx_bytes(model(features=3)), {}, "wanted is float32 [pools, 2]"),
        (onnx_bytes(model(float("nan"))), {}, "losses_per_h is nan"),
        (onnx_bytes(model(-1.0)), {}, "losses_per_h is -1"),
        (onnx_bytes(with_tensor(model())), {}, "keeps its data in another file"),
        (onnx_bytes(model(steps=[("Loop", ["nothing"], "losses_per_h")])), {}, "operator Loop is not run here"),
        (b"\x80\x04\x95", {}, "not an ONNX file"),
        (b"x" * (512 * 1024 + 1), {}, "a model may have 524288 at most"),
        (onnx_bytes(model()), {"sha256": "0" * 64}, "it is another file, or was changed on its way"),
        (onnx_bytes(model()), {"features": ["moon_phase", "absence"]}, "there is no feature moon_phase"),
    ],
)
async def test_what_cannot_be_used_is_refused_with_the_reason(
    world: World, content: bytes, values: dict[str, Any], why: str
) -> None:
    answer = await world.http.post("/api/models", json=request(content, **values), headers=world.admin)
    assert (answer.status_code, kind(answer)) == (422, "model-refused"), answer.text
    assert why in answer.json()["detail"]


@pytest.mark.parametrize(
    "values", [{"onnx": "not base64!"}, {"sha256": "short"}, {"features": []}, {"report": {"x": "y" * 70_000}}]
)
async def test_what_is_no_request_is_refused(world: World, values: dict[str, Any]) -> None:
    answer = await world.http.post("/api/models", json=request(**values), headers=world.admin)
    assert (answer.status_code, kind(answer)) == (422, "invalid-request"), answer.text


async def test_a_body_that_is_far_too_large_is_not_read(world: World) -> None:
    answer = await world.http.post("/api/models", json=request(b"x" * 900_000), headers=world.admin)
    assert kind(answer) == "too-large"


async def test_too_many_at_once_are_refused(world: World) -> None:
    for _ in range(5):
        await registered(world)
    answer = await world.http.post("/api/models", json=request(), headers=world.admin)
    assert (answer.status_code, kind(answer)) == (409, "conflict")
    assert "retire one first" in answer.json()["detail"]


async def test_only_an_admin_changes_models(world: World) -> None:
    model_id = await registered(world)
    for path, body in (
        ("/api/models", request()),
        (f"/api/models/{model_id}/activate", {"client_id": world.tenant.client_id}),
        (f"/api/models/{model_id}/rollback", {"client_id": world.tenant.client_id}),
        (f"/api/models/{model_id}/retire", {}),
    ):
        answer = await world.http.post(path, json=body, headers=world.tenant.headers)
        assert (answer.status_code, kind(answer)) == (403, "forbidden"), path


# --- who decides


async def test_a_model_that_nothing_speaks_for_is_not_activated(world: World) -> None:
    model_id = await registered(world)
    assert kind(await activated(world, model_id)) == "model-unproven"
    proof(world, model_id, cost=11.0)
    assert kind(await activated(world, model_id)) == "model-unproven", "it was dearer"


async def test_a_proof_is_of_this_client_this_model_a_week_and_this_month(world: World) -> None:
    model_id, other = await registered(world), await registered(world)
    proof(world, model_id, cost=9.0, client_id=world.other.client_id)
    proof(world, other, cost=9.0)
    proof(world, model_id, cost=9.0, days=3.0)
    proof(world, model_id, cost=9.0, requested_at=NOW - timedelta(days=40))
    proof(world, model_id, cost=9.0, state="failed")
    assert kind(await activated(world, model_id)) == "model-unproven"


async def test_a_model_whose_backtest_is_cheaper_decides_for_that_client(world: World) -> None:
    model_id = await registered(world)
    backtest = proof(world, model_id, cost=9.0)
    answer = await activated(world, model_id)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["backtest_id"], answer.json()["forced"]) == (backtest, False)
    shown = (await world.call("GET", f"/api/models/{model_id}")).json()
    assert [use["client_id"] for use in shown["uses"]] == [world.tenant.client_id]
    others = await world.http.get(f"/api/models/{model_id}", headers=world.other.headers)
    assert others.json()["uses"] == [], "another client's use is not shown"
    with world.services.database.sessions() as session:
        told = session.scalars(select(Event.type).where(Event.client_id == world.tenant.client_id)).all()
    assert "model.activated" in told


async def test_an_admin_can_force_it_with_a_reason_which_is_kept(world: World) -> None:
    model_id = await registered(world)
    assert kind(await activated(world, model_id, force=True)) == "invalid-request", "a reason is needed"
    answer = await activated(world, model_id, force=True, why="a trial until Friday")
    assert (answer.json()["forced"], answer.json()["why"]) == (True, "a trial until Friday")
    with world.services.database.sessions() as session:
        rows = session.scalars(select(Audit).where(Audit.action == "model.activate", Audit.subject == model_id)).all()
    assert [row.details for row in rows] == [
        {"client_id": world.tenant.client_id, "forced": True, "why": "a trial until Friday"}
    ]


async def test_a_roll_back_brings_the_one_before_and_then_the_built_in_policy(world: World) -> None:
    first, second = await registered(world), await registered(world)
    for model_id in (first, second):
        assert (await activated(world, model_id, force=True, why="a trial")).status_code == 200
    body = {"client_id": world.tenant.client_id}

    async def deciding() -> list[str]:
        with world.services.database.sessions() as session:
            query = "SELECT model_id FROM model_uses WHERE client_id = %s AND ended_at IS NULL"
            return [row[0] for row in session.connection().exec_driver_sql(query, (world.tenant.client_id,))]

    assert await deciding() == [second]
    wrong = await world.http.post(f"/api/models/{first}/rollback", json=body, headers=world.admin)
    assert kind(wrong) == "conflict"
    assert (await world.http.post(f"/api/models/{second}/rollback", json=body, headers=world.admin)).status_code == 200
    assert await deciding() == [first]
    await world.http.post(f"/api/models/{first}/rollback", json=body, headers=world.admin)
    assert await deciding() == []


async def test_a_retired_model_decides_for_nobody_and_is_not_activated_again(world: World) -> None:
    model_id = await registered(world)
    await activated(world, model_id, force=True, why="a trial")
    answer = await world.http.post(f"/api/models/{model_id}/retire", headers=world.admin)
    assert answer.json()["state"] == "retired"
    shown = (await world.call("GET", f"/api/models/{model_id}")).json()
    assert all(use["ended_at"] for use in shown["uses"])
    assert kind(await activated(world, model_id, force=True, why="again")) == "conflict"


async def test_models_and_clients_that_there_are_not_are_not_found(world: World) -> None:
    model_id = await registered(world)
    assert (await activated(world, "mdl-none")).status_code == 404
    assert (await activated(world, model_id, client_id="cli-none")).status_code == 404
    assert (await world.call("GET", "/api/models/mdl-none")).status_code == 404
    assert (await world.http.post("/api/models/mdl-none/retire", headers=world.admin)).status_code == 404
