"""The lab's hosts: their processes, volumes, commands and hooks, without the EC2 half."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from lab.contracts import AgentImage, DeviceBusy
from lab.hosts import journal, processes
from tests.integration.lab_hosts import NETWORK, VOLUME_IMAGE, Lab, fetch, free_port, lab, until, volume_server

__all__ = ["lab"]  # a fixture


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


def has_read_all(connection: socket.socket) -> bool:
    """The server has accepted this connection and read what was sent so far (proc_net_tcp, rx_queue and inode)."""
    ours, theirs = (f":{port:04X}" for port in (connection.getsockname()[1], connection.getpeername()[1]))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    server = [row for row in rows if row[1].endswith(theirs) and row[2].endswith(ours)]
    return any(row[4].endswith(":00000000") and row[9] != "0" for row in server)


def test_shutdown_answers_what_is_in_flight_and_unmounts(lab: Lab) -> None:
    ip = f"{NETWORK}.10"
    volume_server(lab, "i-1", ip, "vol-1")
    connection = socket.create_connection((ip, lab.settings.service_port))
    connection.sendall(b"POST /write HTTP/1.1\r\nContent-Length: 22\r\n\r\n")
    until(lambda: has_read_all(connection), "the workload has begun to read the request")
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
import pathlib, socket, threading, time
from lab.contracts import BootSpec, LabSettings
from lab.hosts.process_hosts import ProcessHosts

def boot():
    room.boot(BootSpec("i-1", "{NETWORK}.10", "r", "z", "t", "ami", "1", ""))
    while True:
        try:
            return socket.create_connection(("{NETWORK}.10", {service}), timeout=1).close()
        except OSError:
            time.sleep(0.02)

room = ProcessHosts(LabSettings(pathlib.Path({str(tmp_path)!r}), 0, {imds}, {service}), None)
thread = threading.Thread(target=boot)
thread.start()
thread.join()
while pathlib.Path(f"/proc/self/task/{{thread.native_id}}").exists():
    time.sleep(0.01)  # what dies with this thread has its signal once the kernel has let go of it
pathlib.Path({str(tmp_path / "booted")!r}).touch()
threading.Event().wait()
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
