"""A pass of the autopilot with models: in shadow, deciding, failing, and gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, select

from db.autopilot.forecast_models import activate, retire
from db.engine.session import SessionFactory, in_transaction
from db.tables import ModelRow, ModelShadow, ModelUse
from domain.autopilot.policy import AutopilotPreferences
from tests.database_schemas import unique
from tests.integration.autopilot_site import Site, running_instances, site
from tests.integration.lab_cloud import clean, cloud
from tests.onnx_models import FEATURES, model, onnx_bytes, patience_with_models, sha256

__all__ = ["clean", "cloud", "patience_with_models", "running_instances", "site"]  # fixtures
pytest_plugins = ["tests.database_fixtures"]

NOW = datetime.now(UTC)
OFF = AutopilotPreferences(minimum_stay_h=0)


@pytest.fixture(autouse=True)
def no_models_after(sessions: SessionFactory) -> Iterator[None]:
    yield
    with sessions.begin() as session:
        for table in (ModelRow, ModelUse, ModelShadow):
            session.execute(delete(table))


def registered(site: Site, losses: float, *, content: bytes | None = None) -> str:
    content = content or onnx_bytes(model(losses))
    row = ModelRow(
        id=unique("mdl"),
        name="small",
        sha256=sha256(onnx_bytes(model(losses))),
        size=len(content),
        content=content,
        features=FEATURES,
        report={},
        state="shadow",
        registered_at=NOW,
        registered_by="tok-1",
    )
    with site.sessions.begin() as session:
        session.add(row)
    return row.id


def activated(site: Site, model_id: str) -> None:
    in_transaction(
        site.sessions,
        lambda session: activate(session, model_id, site.client_id, "tok-1", NOW, forced=True, why="a trial"),
    )


def shadow(site: Site) -> ModelShadow:
    with site.sessions() as session:
        return session.scalars(select(ModelShadow).where(ModelShadow.client_id == site.client_id)).one()


def test_a_model_in_shadow_changes_nothing_and_is_counted(site: Site) -> None:
    server, model_id = site.server(OFF), registered(site, 30.0)
    for _ in range(2):
        site.run_pass()
    [decision] = site.decisions(server)
    assert (decision.kind, decision.informed_by, decision.figures["model"]) == ("move", "", None)
    found = shadow(site)
    assert (found.model_id, found.decisions, found.agreed, found.fell_back) == (model_id, 2, 0, 0)
    assert found.cost_usd > found.built_in_cost_usd > 0


def test_a_model_that_decides_is_in_the_decision(site: Site) -> None:
    server, model_id = site.server(OFF), registered(site, 30.0)
    activated(site, model_id)
    site.run_pass()
    [decision] = site.decisions(server)
    assert (decision.kind, decision.reason, decision.informed_by) == ("wait", "spot_too_risky", model_id)
    assert decision.figures["model"] == {"id": model_id, "used": True, "fell_back": ""}
    assert decision.figures["candidates"][0]["losses_per_h"] > 30.0


def test_a_model_that_fails_leaves_the_decision_to_the_policy_which_says_so(site: Site) -> None:
    """The file was changed behind our back: it is not what was registered."""
    server = site.server(OFF)
    model_id = registered(site, 0.01, content=onnx_bytes(model(0.02)))
    activated(site, model_id)
    site.run_pass()
    [decision] = site.decisions(server)
    assert (decision.kind, decision.informed_by) == ("move", f"{model_id}:fell_back")
    assert decision.figures["model"]["used"] is False
    assert "it is another file" in decision.figures["model"]["fell_back"]
    assert (shadow(site).fell_back, shadow(site).decisions) == (1, 0)
    assert "it is another file" in shadow(site).failure


def test_a_decision_of_somebody_else_is_another_decision_though_it_says_the_same(site: Site) -> None:
    server, model_id = site.server(OFF), registered(site, 0.0001)
    site.run_pass()
    activated(site, model_id)
    site.run_pass()
    in_transaction(site.sessions, lambda session: retire(session, model_id, "tok-1", NOW))
    site.run_pass()
    found = site.decisions(server)
    assert [one.informed_by for one in found] == ["", model_id, ""]
    assert len({(one.kind, one.to_pool) for one in found}) == 1
