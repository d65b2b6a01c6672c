"""Faults that the lab is told to have, its call log, and the process that starts and ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from proof.harness.waiting import until
from tests.integration.lab_ec2 import PATIENCE_S, Lab, client_at, ec2, free_port, lab, refused

__all__ = ["ec2", "lab"]  # fixtures


@pytest.fixture
def faults(lab: Lab) -> Iterator[Lab]:
    yield lab
    lab.http.delete("/_lab/faults")
    lab.post("/throttle", rate=None)


def test_a_lost_answer_has_still_done_its_work(faults: Lab, ec2: Any) -> None:
    token = uuid.uuid4().hex
    faults.post("/faults", action="RunInstances", kind="lose", match={"ClientToken": token})
    with pytest.raises(ConnectionClosedError):
        faults.launch(ClientToken=token)
    again = faults.launch(ClientToken=token)
    made = [i for i in faults.get("/truth")["instances"] if i["client_token"] == token]
    assert [i["id"] for i in made] == [again]


def test_the_nth_call_fails_without_being_done(faults: Lab) -> None:
    faults.post(
        "/faults", action="RunInstances", kind="fail", nth=2, code="Unsupported", match={"InstanceType": "c5.*"}
    )
    faults.launch(InstanceType="c5.large")
    faults.launch(InstanceType="m5.large")
    refused("Unsupported", faults.launch, InstanceType="c5.large")
    faults.launch(InstanceType="c5.large")


@pytest.mark.parametrize(("when", "made"), [("before", 0), ("after", 1)])
def test_a_held_call_waits_and_is_never_answered(faults: Lab, ec2: Any, when: str, made: int) -> None:
    token = uuid.uuid4().hex
    faults.post("/faults", action="RunInstances", kind="hold", when=when, match={"ClientToken": token})
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(faults.launch, ClientToken=token)
        until("it is held", PATIENCE_S, lambda: True if faults.get("/faults")["faults"][0]["held"] else None)
        assert not call.done()
        assert len([i for i in faults.get("/truth")["instances"] if i["client_token"] == token]) == made
        faults.http.delete("/_lab/faults")
        with pytest.raises(ConnectionClosedError):
            call.result(timeout=PATIENCE_S)
    assert len([i for i in faults.get("/truth")["instances"] if i["client_token"] == token]) == made


def test_calls_are_throttled_when_asked(faults: Lab, ec2: Any) -> None:
    faults.post("/throttle", rate=0.01, burst=2)
    ec2.describe_volumes()
    ec2.describe_volumes()
    refused("RequestLimitExceeded", ec2.describe_volumes)


def test_a_missing_permission_is_told_for_a_dry_run_too(lab: Lab, ec2: Any) -> None:
    asked = {"ImageId": lab.world["images"]["x86_64"], "MinCount": 1, "MaxCount": 1, "DryRun": True}
    refused("DryRunOperation", ec2.run_instances, **asked)
    lab.post("/permissions", deny=["ec2:RunInstances"], access_key="poor")
    poor = lab.client("ec2", "poor")
    assert "ec2:RunInstances" in refused("UnauthorizedOperation", poor.run_instances, **asked)
    refused("DryRunOperation", poor.terminate_instances, InstanceIds=["i-1"], DryRun=True)
    refused("DryRunOperation", ec2.run_instances, **asked)


def test_every_call_is_listed_without_the_content_of_user_data(lab: Lab) -> None:
    since = lab.get("/calls")["calls"][-1]["seq"]
    lab.launch(UserData="secret")
    (entry,) = lab.get(f"/calls?since={since}")["calls"]
    assert (entry["service"], entry["action"], entry["status"]) == ("ec2", "RunInstances", 200)
    assert "Boto3" in entry["user_agent"]
    assert entry["params"]["UserData"].startswith("<")


def test_dead_hardware_ends_the_instance_without_a_notice(lab: Lab) -> None:
    instance_id = lab.running()
    assert lab.http.post(f"/_lab/instances/{instance_id}/interrupt", json={}).status_code == 409
    lab.post(f"/instances/{instance_id}/kill")
    assert lab.wait_state(instance_id, "terminated")["StateReason"]["Code"] == "Server.InternalError"


# --- the process


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    port = str(free_port())
    command = [sys.executable, "-m", "lab", "--no-hosts", "--port", port, "--state-dir", str(folder), *more]
    root = Path(__file__).parents[2]
    pipe = subprocess.PIPE
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=root, env=environment)


def test_the_process_says_ready_and_ends_when_told(tmp_path: Path) -> None:
    process = start(tmp_path)
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    assert first["message"].startswith("ready:")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=PATIENCE_S) == 0


def test_an_access_log_has_a_line_for_each_call(tmp_path: Path) -> None:
    log = tmp_path / "access.jsonl"
    process = start(tmp_path, "--access-log", str(log))
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["message"].split()[3]
    client_at(url, "ec2").describe_regions()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=PATIENCE_S) == 0
    (call,) = [json.loads(line) for line in log.read_text().splitlines()]
    assert (call["service"], call["action"], call["status"]) == ("ec2", "DescribeRegions", 200)


def test_the_process_refuses_a_malformed_price_file(tmp_path: Path) -> None:
    prices = tmp_path / "prices.csv"
    prices.write_text("instance_type,az,timestamp,price_usd_h\nm5.large,us-east-1a,2021-03-02,-1\n")
    process = start(tmp_path, "--prices", str(prices))
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert f"{prices}, line 2: bad price '-1': negative" in errors
