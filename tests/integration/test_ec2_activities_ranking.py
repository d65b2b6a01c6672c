"""Ranking and checking against the lab's market, quotas and permissions."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from domain import ec2 as contract
from domain.servers import Handoff, ServerPolicy
from tests.integration.lab_cloud import REGION, A, Cloud, clean, cloud, named_activities

__all__ = ["clean", "cloud"]  # fixtures


def test_ranking_reads_the_market_and_ends_in_on_demand(cloud: Cloud) -> None:
    old = replace(cloud.plain(), pool=f"{A}/m5.large/on-demand")
    ranked = cloud.run(contract.RANK_POOLS, contract.RankInput(REGION, old, ServerPolicy()))
    assert len(ranked.candidates) == 8
    assert ranked.on_demand_now == ranked.hourly_now == 0.096
    assert [c.pool.spot for c in ranked.candidates] == [True] * 6 + [False] * 2
    assert all(0 < c.usd_per_hour < 0.096 for c in ranked.candidates[:6])
    assert all(c.subnet_id == cloud.world["subnets"][c.pool.zone] for c in ranked.candidates)
    assert all(c.placement_score for c in ranked.candidates[:6])
    here = cloud.run(contract.RANK_POOLS, contract.RankInput(REGION, old, ServerPolicy(), same_zone=A))
    assert {c.pool.zone for c in here.candidates} == {A}


@pytest.mark.parametrize("asked", ["x", f"{A}/m6g.large/spot", f"{A}/m5.nope/spot", "us-east-1z/m5.large/spot"])
def test_a_pool_that_cannot_be_is_refused(cloud: Cloud, asked: str) -> None:
    cloud.fails("Refused", contract.RANK_POOLS, contract.RankInput(REGION, cloud.plain(), ServerPolicy(), asked))


def test_the_ranking_does_without_scores_and_on_demand_prices(clean: Cloud) -> None:
    for action in ("GetSpotPlacementScores", "GetProducts", "DescribeInstanceTypeOfferings"):
        clean.post("/faults", action=action, kind="fail", code="InternalError", times=100)
    # Prices are remembered for hours: other activities have asked for none yet.
    fresh = replace(clean, activities=named_activities(clean.clients))
    ranked = fresh.run(contract.RANK_POOLS, contract.RankInput(REGION, clean.plain(), ServerPolicy(), same_zone=A))
    assert ranked.candidates
    assert ranked.on_demand_now == 0


def test_a_survey_says_what_its_parts_say(clean: Cloud) -> None:
    instance_id = clean.original()
    survey = contract.SurveyInput(
        REGION, instance_id, ServerPolicy(handoff=Handoff.VOLUMES), avoid=[f"{A}/m5.large/spot"]
    )
    seen = clean.run(contract.SURVEY, survey)
    old = clean.blueprint(instance_id)
    asked = contract.RankInput(REGION, old, survey.policy, avoid=survey.avoid, same_zone=A)
    ranked = clean.run(contract.RANK_POOLS, asked)
    assert seen.blueprint == old
    assert seen.candidates == [one for one in ranked.candidates if str(one.pool) != old.pool]
    assert f"{A}/m5.large/spot" not in {str(one.pool) for one in seen.candidates}
    assert (seen.hourly_now, seen.checked.problems) == (ranked.hourly_now, [])
    assert seen.home_usd == 0.0, "nobody has asked"
    assert clean.run(contract.SURVEY, replace(survey, home_type="m5.xlarge")).home_usd == 0.192
    clean.post("/permissions", deny=["ec2:DetachVolume"])
    assert clean.run(contract.SURVEY, survey).checked.missing_permissions == ["ec2:DetachVolume"]
    clean.post("/permissions", deny=[])
    clean.fails("Refused", contract.SURVEY, replace(survey, asked=f"{A}/m6g.large/spot"))


def test_the_check_names_what_is_denied_and_launches_nothing(clean: Cloud) -> None:
    instance_id = clean.original()
    old = clean.blueprint(instance_id)
    ranked = clean.run(contract.RANK_POOLS, contract.RankInput(REGION, old, ServerPolicy(), same_zone=A))
    actions = ["TerminateInstances", "CreateTags", "DetachVolume", "AttachVolume", "CreateSnapshot", "CreateVolume",
               "DeleteVolume", "AssociateAddress", "AssignPrivateIpAddresses", "ModifyInstanceAttribute"]  # fmt: skip
    check = contract.CheckInput(REGION, old, ranked.candidates, actions)
    before = _instances(clean)
    allowed = clean.run(contract.CHECK_LAUNCH, check)
    assert (allowed.problems, allowed.missing_permissions, allowed.skip) == ([], [], {})
    clean.post("/permissions", deny=["ec2:RunInstances", "ec2:DetachVolume"])
    denied = clean.run(contract.CHECK_LAUNCH, check)
    assert denied.missing_permissions == ["ec2:DetachVolume", "ec2:RunInstances"]
    assert "iam-policy.json" in denied.problems[0]
    assert "ec2:RunInstances" in clean.fails("PermissionMissing", contract.LAUNCH, clean.launch_input(old))
    clean.post("/permissions", deny=[])
    assert _instances(clean) == before
    clean.end(instance_id)


def _instances(cloud: Cloud) -> dict[str, str]:
    found = httpx.get(f"{cloud.url}/_lab/truth").json()["instances"]
    return {instance["id"]: instance["state"] for instance in found}


def test_pools_without_quota_are_left_out(clean: Cloud) -> None:
    instance_id = clean.original()
    old = clean.blueprint(instance_id)
    ranked = clean.run(contract.RANK_POOLS, contract.RankInput(REGION, old, ServerPolicy(), limit=4))
    quotas = httpx.get(f"{clean.url}/_lab/quotas").json()
    clean.post("/quotas", spot=0)
    anew = replace(clean, activities=named_activities(clean.clients))  # limits are asked for once a minute
    checked = anew.run(contract.CHECK_LAUNCH, contract.CheckInput(REGION, old, ranked.candidates))
    clean.post("/quotas", **{name: quotas[name] for name in ("spot", "on_demand")})
    assert set(checked.skip) == {str(c.pool) for c in ranked.candidates if c.pool.spot}
    clean.end(instance_id)


def test_switches_at_once_share_one_look_at_what_is_in_use(clean: Cloud) -> None:
    """In a fleet of thousands it is thousands of instances, page by page."""
    instance_id = clean.original()
    old = clean.blueprint(instance_id)
    ranked = clean.run(contract.RANK_POOLS, contract.RankInput(REGION, old, ServerPolicy(), limit=4))
    anew = replace(clean, activities=named_activities(clean.clients))
    first, second = (
        anew.run(contract.CHECK_LAUNCH, contract.CheckInput(REGION, old, ranked.candidates)).calls for _ in range(2)
    )
    assert {"DescribeInstances", "GetServiceQuota"} <= set(first)
    assert not {"DescribeInstances", "GetServiceQuota"} & set(second)
    clean.end(instance_id)
