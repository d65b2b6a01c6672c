"""The lab's hosts with real processes, directories and sockets, without the EC2 half."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lab.contracts import AgentImage, BootSpec, DeviceBusy, HealthCheck, LabSettings
from lab.hosts import journal, processes
from lab.hosts.process_hosts import ProcessHosts

NETWORK = f"127.61.{os.getpid() % 200 + 1}"
VOLUME_IMAGE = json.dumps({"workload": "volume", "mount": "/data"})
WAIT_S = 10.0


class SomeCloud:
    """Knows one tag of every instance."""

    def instance_facts(self, instance_id: str) -> Mapping[str, object]:
        options = {"InstanceMetadataTags": "enabled"}
        return {"tags": {"Name": f"name-of-{instance_id}"}, "metadataOptions": options}


class Lab:
    """A machine room and the words the tests speak to it in."""

    def __init__(self, state_dir: Path, service_port: int, imds_port: int) -> None:
        self.settings = LabSettings(state_dir, 0, imds_port, service_port, network="127.61")
        self.room = ProcessHosts(self.settings, SomeCloud())

    def boot(self, instance: str, ip: str, user_data: str = "") -> None:
        self.room.boot(
            BootSpec(instance, ip, "us-east-1", "us-east-1a", "m6i.large", "ami-1", "123456789012", user_data)
        )

    def run(self, instance: str, *command: str) -> subprocess.CompletedProcess[str]:
        folder = "hooks" if command[0] in ("start", "stop", "health", "warm-up") else "bin"
        path = self.settings.state_dir / "hosts" / instance / folder / command[0]
        return subprocess.run([path, *command[1:]], capture_output=True, text=True, timeout=30, env={})

    def get(self, ip: str, path: str = "/") -> dict[str, Any]:
        return fetch(f"http://{ip}:{self.settings.service_port}{path}")

    def write(self, ip: str, n: int, client: str = "c") -> dict[str, Any]:
        body = json.dumps({"client": client, "n": n}).encode()
        return fetch(f"http://{ip}:{self.settings.service_port}/write", body)

    def serves(self, ip: str, instance: str) -> bool:
        with suppress(OSError):
            return bool(self.get(ip)["instance"] == instance)
        return False

    def uuid(self, volume: str) -> str:
        meta = json.loads((self.settings.state_dir / "volumes" / volume / "meta.json").read_text())
        return str(meta["uuid"])


def fetch(url: str, body: bytes | None = None) -> dict[str, Any]:
    with urllib.request.urlopen(url, data=body, timeout=5) as answer:
        found = json.loads(answer.read())
        assert isinstance(found, dict)
        return found


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, free_port(), free_port())
    yield made
    made.room.close()


def volume_server(lab: Lab, instance: str, ip: str, volume: str) -> None:
    lab.room.create_volume(volume, None)
    lab.room.plug(volume, instance, "/dev/sdf")
    lab.boot(instance, ip, VOLUME_IMAGE)
    until(lambda: lab.serves(ip, instance), f"{instance} serves")


def test_a_volume_carries_every_write_to_the_second_host(lab: Lab) -> None:
    first, second = f"{NETWORK}.10", f"{NETWORK}.11"
    volume_server(lab, "i-1", first, "vol-1")
    lab.boot("i-2", second, VOLUME_IMAGE)
    for n in range(20):
        assert lab.write(first, n)["n"] == n
    lab.write(first, 7)  # a retry is acknowledged, and not written again
    assert lab.run("i-1", "umount", "/data").stderr == "umount: /data: target is busy.\n"
    with pytest.raises(DeviceBusy):
        lab.room.unplug("vol-1")

    assert lab.run("i-1", "systemctl", "stop", "workload").returncode == 0
    assert lab.run("i-1", "umount", "/data").returncode == 0
    assert not lab.room.mounted("vol-1")
    lab.room.unplug("vol-1")
    lab.room.plug("vol-1", "i-2", "/dev/sdg")
    until(lambda: lab.run("i-2", "systemctl", "is-active", "workload").stdout == "inactive\n", "i-2 is up")
    refused = lab.run("i-2", "systemctl", "start", "workload")
    assert (refused.returncode, "dependency" in refused.stderr) == (1, True)
    mounted = lab.run("i-2", "mount", "-t", "xfs", "-o", "noatime", f"UUID={lab.uuid('vol-1')}", "/data")
    assert mounted.returncode == 0, mounted.stderr
    assert lab.run("i-2", "start").returncode == 0
    assert lab.run("i-2", "health").stdout == "health: HTTP/1.1 200 OK\n"

    assert lab.get(second, "/writes?client=c") == {"client": "c", "count": 20, "numbers": list(range(20))}
    lab.write(second, 20)
    runs = [(line["event"], line["instance"]) for line in journal.read(str(lab.settings.state_dir))]
    assert runs == [("start", "i-1"), ("stop", "i-1"), ("start", "i-2")]
    assert journal.overlaps(str(lab.settings.state_dir)) == []


def test_commands_answer_as_util_linux_does(lab: Lab) -> None:
    volume_server(lab, "i-1", f"{NETWORK}.10", "vol-1")
    lab.boot("i-2", f"{NETWORK}.11", VOLUME_IMAGE)
    uuid = lab.uuid("vol-1")
    assert lab.run("i-1", "blkid", "-U", uuid).stdout == "/dev/sdf\n"
    assert lab.run("i-1", "blkid").stdout == f'/dev/sdf: UUID="{uuid}" BLOCK_SIZE="512" TYPE="xfs"\n'
    assert lab.run("i-1", "blkid", "-o", "value", "-s", "UUID", "/dev/sdf").stdout == f"{uuid}\n"
    found = json.loads(lab.run("i-1", "findmnt", "-J", "-o", "SOURCE,TARGET,UUID", "/data").stdout)
    assert found == {"filesystems": [{"source": "/dev/sdf", "target": "/data", "uuid": uuid}]}
    tree = json.loads(lab.run("i-1", "findmnt", "-J", "--real").stdout)["filesystems"]
    assert [(tree[0]["target"], tree[0]["children"][0]["target"])] == [("/", "/data")]
    flat = json.loads(lab.run("i-1", "findmnt", "-J", "--list").stdout)["filesystems"]
    assert [row["target"] for row in flat] == ["/", "/data"]
    disk = json.loads(lab.run("i-1", "lsblk", "-J", "-o", "PATH,SERIAL").stdout)["blockdevices"]
    assert disk == [{"path": "/dev/sdf", "serial": "vol1"}]
    twice = lab.run("i-1", "mount", f"UUID={uuid}", "/data")
    assert (twice.returncode, "already mounted" in twice.stderr) == (32, True)
    # Another host's volume is not to be seen.
    assert lab.run("i-2", "blkid", "-U", uuid).returncode == 2
    assert lab.run("i-2", "findmnt", "/data").returncode == 1
    absent = lab.run("i-2", "mount", f"UUID={uuid}", "/data")
    assert (absent.returncode, absent.stderr) == (1, f"mount: /data: can't find UUID={uuid}.\n")
    assert lab.run("i-2", "umount", "/data").stderr == "umount: /data: not mounted.\n"


def test_power_off_leaves_no_process_and_no_mount(lab: Lab) -> None:
    volume_server(lab, "i-1", f"{NETWORK}.10", "vol-1")
    pid = lab.room.truth()["hosts"]["i-1"]["pid"]  # type: ignore[index]
    host = str(lab.settings.state_dir / "hosts" / "i-1")
    assert len(processes.of_host(host, pid)) == 2
    lab.room.power_off("i-1")
    assert processes.of_host(host, pid) == []
    assert not lab.room.mounted("vol-1")
    assert not lab.serves(f"{NETWORK}.10", "i-1")
    assert journal.open_runs(str(lab.settings.state_dir)) == []
    lab.room.unplug("vol-1")


def test_shutdown_answers_what_is_in_flight_and_unmounts(lab: Lab) -> None:
    ip = f"{NETWORK}.10"
    volume_server(lab, "i-1", ip, "vol-1")
    connection = socket.create_connection((ip, lab.settings.service_port))
    connection.sendall(b"POST /write HTTP/1.1\r\nContent-Length: 22\r\n\r\n")
    time.sleep(0.1)  # the workload has begun to read the request
    lab.room.shutdown("i-1")
    connection.sendall(b'{"client":"x", "n": 1}')
    assert connection.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
    connection.close()
    until(lambda: not lab.room.truth()["hosts"]["i-1"]["live"], "the host is down")  # type: ignore[index]
    assert not lab.room.mounted("vol-1")
    assert journal.read(str(lab.settings.state_dir))[-1]["how"] == "asked"


def test_reboot_mounts_what_is_plugged_and_serves_again(lab: Lab) -> None:
    ip = f"{NETWORK}.10"
    volume_server(lab, "i-1", ip, "vol-1")
    before = lab.room.truth()["hosts"]["i-1"]["pid"]  # type: ignore[index]
    lab.write(ip, 1)
    lab.room.reboot("i-1")
    until(lambda: lab.room.truth()["hosts"]["i-1"]["pid"] not in (None, before), "rebooted")  # type: ignore[index]
    until(lambda: lab.serves(ip, "i-1"), "it serves again")
    assert lab.get(ip, "/writes?client=c")["count"] == 1


def test_a_killed_workload_comes_back_and_its_end_is_in_the_journal(lab: Lab) -> None:
    ip = f"{NETWORK}.10"
    volume_server(lab, "i-1", ip, "vol-1")
    assert lab.room.kill_workload("i-1")
    until(lambda: len(journal.read(str(lab.settings.state_dir))) == 3, "it started again")
    assert journal.overlaps(str(lab.settings.state_dir)) == []
    assert not lab.room.kill_agent("i-1")  # the image names no control plane: there is no agent


def test_a_forced_unplug_ends_the_workload(lab: Lab) -> None:
    volume_server(lab, "i-1", f"{NETWORK}.10", "vol-1")
    lab.room.unplug("vol-1", force=True)
    until(lambda: not lab.serves(f"{NETWORK}.10", "i-1"), "the workload is gone")
    until(lambda: lab.run("i-1", "systemctl", "is-active", "workload").stdout == "inactive\n", "it stays down")


def test_a_snapshot_holds_every_write_acknowledged_before_it(lab: Lab) -> None:
    ip = f"{NETWORK}.10"
    volume_server(lab, "i-1", ip, "vol-1")
    for n in range(10):
        lab.write(ip, n)
    lab.room.snapshot("snap-1", "vol-1")
    lab.write(ip, 10)
    lab.room.create_volume("vol-2", "snap-1")
    lab.room.plug("vol-2", "i-2", "/dev/sdf")
    lab.boot("i-2", f"{NETWORK}.11", VOLUME_IMAGE)
    until(lambda: lab.serves(f"{NETWORK}.11", "i-2"), "the copy serves")
    assert lab.get(f"{NETWORK}.11", "/writes?client=c")["numbers"] == list(range(10))
    assert lab.uuid("vol-2") == lab.uuid("vol-1")
    lab.room.delete_snapshot("snap-1")


def test_imds_asks_for_a_token_and_shows_notices(lab: Lab) -> None:
    lab.boot("i-1", f"{NETWORK}.10")
    base = f"http://{NETWORK}.10:{lab.settings.imds_port}/latest"

    def read(path: str, **headers: str) -> str:
        with urllib.request.urlopen(urllib.request.Request(f"{base}/{path}", headers=headers), timeout=5) as got:
            return str(got.read().decode())

    with pytest.raises(urllib.error.HTTPError, match="401"):
        read("meta-data/instance-id")
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    asked = urllib.request.Request(f"{base}/api/token", method="PUT", headers=ttl)
    with urllib.request.urlopen(asked, timeout=5) as answer:
        token = {"X-aws-ec2-metadata-token": answer.read().decode()}
    assert read("meta-data/instance-id", **token) == "i-1"
    assert read("meta-data/placement/", **token) == "availability-zone\nregion"
    assert read("meta-data/tags/instance/Name", **token) == "name-of-i-1"
    assert json.loads(read("dynamic/instance-identity/document", **token))["instanceId"] == "i-1"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        read("meta-data/spot/instance-action", **token)
    at = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    lab.room.spot_notice("i-1", "terminate", at)
    lab.room.rebalance_notice("i-1", at - timedelta(minutes=5))
    action = {"action": "terminate", "time": "2026-11-23T12:00:00Z"}
    assert json.loads(read("meta-data/spot/instance-action", **token)) == action
    rebalance = json.loads(read("meta-data/events/recommendations/rebalance", **token))
    assert rebalance == {"noticeTime": "2026-11-23T11:55:00Z"}


def test_a_re_pointed_address_reaches_the_new_host_and_cuts_the_old_connections(lab: Lab) -> None:
    address = f"{NETWORK}.200"
    for name, last in (("i-1", 10), ("i-2", 11)):
        lab.boot(name, f"{NETWORK}.{last}")
        until(lambda n=name, ip=f"{NETWORK}.{last}": lab.serves(ip, n), "it serves")  # type: ignore[misc]
    lab.room.forward(address, "i-1")
    assert lab.get(address)["instance"] == "i-1"
    kept = socket.create_connection((address, lab.settings.service_port), timeout=5)
    kept.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert kept.recv(15) == b"HTTP/1.1 200 OK"
    lab.room.forward(address, "i-2")
    with suppress(ConnectionResetError):
        while kept.recv(4096):
            pass
    kept.close()
    assert lab.get(address)["instance"] == "i-2"
    lab.room.forward(address, None)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, lab.settings.service_port), timeout=5)


def test_targets_are_swapped_without_a_failed_request(lab: Lab) -> None:
    port, front = free_port(), f"{NETWORK}.201"
    lab.room.open_listener("tg", front, port, HealthCheck(interval_s=0.05))
    for name, last in (("i-1", 10), ("i-2", 11)):
        lab.boot(name, f"{NETWORK}.{last}")

    def register(name: str, last: int) -> None:
        lab.room.register_target("tg", name, f"{NETWORK}.{last}", lab.settings.service_port)
        assert lab.room.target_health("tg")[name] == "initial"
        until(lambda: lab.room.target_health("tg")[name] == "healthy", f"{name} is healthy")

    register("i-1", 10)
    answered: list[str] = []
    over = threading.Event()

    def ask_all_the_time() -> None:
        while not over.is_set():
            answered.append(fetch(f"http://{front}:{port}/")["instance"])

    asker = threading.Thread(target=ask_all_the_time)
    asker.start()
    until(lambda: len(answered) > 5, "the first serves")
    register("i-2", 11)
    lab.room.deregister_target("tg", "i-1", 2.0)
    until(lambda: set(lab.room.target_health("tg")) == {"i-2"}, "the first is drained")
    lab.room.power_off("i-1")
    done = len(answered)
    until(lambda: len(answered) > done + 5 or not asker.is_alive(), "the second serves")
    assert asker.is_alive(), "a request failed"
    over.set()
    asker.join()
    assert set(answered) == {"i-1", "i-2"}
    assert set(answered[done + 1 :]) == {"i-2"}


def test_a_connection_goes_to_another_target_when_the_chosen_one_is_down(lab: Lab) -> None:
    port, front = free_port(), f"{NETWORK}.202"
    lab.room.open_listener("tg", front, port, HealthCheck(interval_s=60.0, healthy_threshold=1))
    for name, last in (("i-1", 10), ("i-2", 11)):
        lab.boot(name, f"{NETWORK}.{last}")
        until(lambda n=name, ip=f"{NETWORK}.{last}": lab.serves(ip, n), "it serves")  # type: ignore[misc]
        lab.room.register_target("tg", name, f"{NETWORK}.{last}", lab.settings.service_port)
    until(lambda: set(lab.room.target_health("tg").values()) == {"healthy"}, "both are healthy")
    lab.room.power_off("i-1")  # which no health check has seen yet
    assert {fetch(f"http://{front}:{port}/")["instance"] for _ in range(4)} == {"i-2"}


def test_hooks_fail_where_the_lab_is_told(lab: Lab) -> None:
    lab.boot("i-1", f"{NETWORK}.10")
    until(lambda: lab.serves(f"{NETWORK}.10", "i-1"), "it serves")
    lab.room.set_hook_faults(
        {"health": {"next": 1}, "warm-up": {"instance_types": ["m6i.large"]}, "stop": {"zones": []}}
    )
    assert [lab.run("i-1", "health").returncode for _ in range(2)] == [1, 0]
    assert [lab.run("i-1", "warm-up").returncode for _ in range(2)] == [1, 1]
    assert lab.run("i-1", "stop").returncode == 0
    lab.room.set_hook_faults({})
    assert lab.run("i-1", "warm-up").returncode == 0


def test_a_root_volume_keeps_what_is_written_to_it(lab: Lab) -> None:
    root = json.dumps({"workload": "root"})
    lab.room.create_volume("vol-r", None)
    lab.room.plug("vol-r", "i-1", "/dev/xvda")
    lab.boot("i-1", f"{NETWORK}.10", root)
    until(lambda: lab.serves(f"{NETWORK}.10", "i-1"), "it serves")
    lab.write(f"{NETWORK}.10", 1)
    assert lab.room.mounted("vol-r")
    lab.room.snapshot("snap-r", "vol-r")
    lab.room.create_volume("vol-s", "snap-r")
    lab.room.plug("vol-s", "i-2", "/dev/xvda")
    lab.boot("i-2", f"{NETWORK}.11", root)
    until(lambda: lab.serves(f"{NETWORK}.11", "i-2"), "the copy serves")
    assert lab.get(f"{NETWORK}.11", "/writes?client=c")["count"] == 1


def test_hosts_die_with_the_lab(tmp_path: Path) -> None:
    """A lab that is killed leaves no process behind, whichever thread booted the host."""
    service, imds = free_port(), free_port()
    code = f"""
import threading, time, pathlib
from lab.contracts import AgentImage, BootSpec, LabSettings
from lab.hosts.process_hosts import MachineRoom
room = MachineRoom(LabSettings(pathlib.Path({str(tmp_path)!r}), 0, {imds}, {service}), None)
spec = BootSpec("i-1", "{NETWORK}.10", "r", "z", "t", "ami", "1", "")
thread = threading.Thread(target=lambda: (room.boot(spec), time.sleep(0.5)))
thread.start(); thread.join(); time.sleep(0.1)
pathlib.Path({str(tmp_path / "booted")!r}).touch()
time.sleep(60)
"""
    lab_process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    host = tmp_path / "hosts" / "i-1"

    def serves() -> bool:
        with suppress(OSError):
            return bool(fetch(f"http://{NETWORK}.10:{service}/")["instance"] == "i-1")
        return False

    try:
        until((tmp_path / "booted").exists, "the thread that booted it is gone")
        assert serves()
        pid = json.loads((host / "run" / "init.pid").read_text())["pid"]
        assert len(processes.of_host(str(host), pid)) == 2
    finally:
        lab_process.kill()
        lab_process.wait()
    until(lambda: processes.of_host(str(host), pid) == [], "the host died with its lab")


def test_the_agent_is_hung_let_go_and_started_again_when_killed(lab: Lab) -> None:
    lab.room.set_image(AgentImage(control_url="http://127.0.0.1:9"))
    lab.boot("i-1", f"{NETWORK}.10")

    def agent() -> int | None:
        found: int | None = lab.room.truth()["hosts"]["i-1"]["agent"]  # type: ignore[index]
        return found

    until(agent, "the agent runs")
    assert lab.room.hang_agent("i-1", True)
    first = agent()
    assert first is not None
    until(lambda: (seen := processes.read_process(first)) is not None and seen.state == "T", "it is stopped")
    assert lab.room.hang_agent("i-1", False)
    lab.room.kill_agent("i-1")
    until(lambda: agent() not in (None, first), "another runs")
