"""Sizes of volumes for a whole fleet: few calls, kept for an hour, and a failure that stops nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from activities.ec2.attached_volumes import CACHE_TTL_S, RETRY_AFTER_S, AttachedVolumes
from activities.ec2.clients import Clients

REGION = "us-east-1"


class FakeEc2:
    """Two volumes for every instance; `failing`: the calls that fail, counted from 0."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.failing: set[int] = set()
        self.size = 10

    def get_paginator(self, name: str) -> FakeEc2:
        assert name == "describe_volumes"
        return self

    def paginate(self, Filters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        [only] = Filters
        number = len(self.asked)
        self.asked.append(only["Values"])
        if number in self.failing:
            raise ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": "no"}}, "DescribeVolumes")
        for one in only["Values"]:  # a page for each
            yield {"Volumes": [self._volume(one, device) for device in ("/dev/xvda", "/dev/sdf")]}

    def _volume(self, instance_id: str, device: str) -> dict[str, Any]:
        link = {"InstanceId": instance_id, "Device": device}
        return {"VolumeId": f"vol-{instance_id}{device}", "Size": self.size, "VolumeType": "gp3", "Attachments": [link]}


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> FakeEc2:
    fake = FakeEc2()
    monkeypatch.setattr(Clients, "ec2", lambda self, region: fake)
    return fake


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def attached(ec2: FakeEc2, time: Time) -> AttachedVolumes:
    return AttachedVolumes(Clients(), time)


def roots(count: int) -> dict[str, str]:
    return {f"i-{number:05d}": "/dev/xvda" for number in range(count)}


def test_ten_thousand_servers_are_fifty_calls_an_hour(attached: AttachedVolumes, ec2: FakeEc2, time: Time) -> None:
    found = attached.of(REGION, roots(10_000))
    assert (len(ec2.asked), max(map(len, ec2.asked))) == (50, 200)
    assert len(found.volumes) == 10_000
    assert [(one.size_gib, one.root) for one in found.volumes["i-00007"]] == [(10, True), (10, False)]
    time.now += CACHE_TTL_S - 1
    attached.of(REGION, roots(10_000))
    assert len(ec2.asked) == 50
    ec2.size, time.now = 20, time.now + 1
    assert attached.of(REGION, roots(10_000)).volumes["i-00007"][1].size_gib == 20, "it has grown"
    assert len(ec2.asked) == 100


def test_a_new_instance_is_asked_for_alone(attached: AttachedVolumes, ec2: FakeEc2) -> None:
    attached.of(REGION, roots(3))
    attached.of(REGION, roots(4))
    assert ec2.asked[1:] == [["i-00003"]]


def test_a_failure_says_why_costs_only_its_own_servers_and_is_not_repeated_at_once(
    attached: AttachedVolumes, ec2: FakeEc2, time: Time
) -> None:
    ec2.failing = {1}
    found = attached.of(REGION, roots(400))
    assert len(found.volumes) == 200
    assert "UnauthorizedOperation" in found.problem
    assert attached.of(REGION, roots(400)).problem == found.problem
    assert len(ec2.asked) == 2
    time.now += RETRY_AFTER_S
    again = attached.of(REGION, roots(400))
    assert (len(again.volumes), again.problem) == (400, "")
    assert len(ec2.asked) == 3


def test_a_size_that_cannot_be_read_again_is_taken_as_it_was(
    attached: AttachedVolumes, ec2: FakeEc2, time: Time
) -> None:
    attached.of(REGION, roots(1))
    time.now += CACHE_TTL_S
    ec2.failing = {1}
    assert attached.of(REGION, roots(1)).volumes["i-00000"][1].size_gib == 10
