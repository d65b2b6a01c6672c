"""The host's verbs: ready, inventory, quiesce, resume. On a machine whose commands are small scripts."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.commands import KEPT_CHARACTERS, TIMED_OUT, run
from agent.deadline import Deadline, HostError, HostLock, StopRequested
from agent.hooks import Hooks
from agent.host import Host
from agent.state_dir import QUIESCED, StateDir
from domain.host import Filesystem, InventoryRequest, QuiesceRequest, ReadyRequest, ServeRequest
from tests.unit.test_agent_fakes import INSTANCE, FakeMachine, eventually

DATA = Filesystem("uuid-data", "/data", "xfs", "rw,noatime,attr2,stripe=8")
OP = "op-1"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    found = FakeMachine(tmp_path)
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SPOT_TOKEN", "secret")
    return found


@pytest.fixture
def host(machine: FakeMachine) -> Host:
    return host_of(machine)


def host_of(machine: FakeMachine) -> Host:
    return Host(INSTANCE, Hooks(machine.hooks), StateDir(machine.state))


def deadline(seconds: float = 120.0) -> Deadline:
    return Deadline.after(seconds)


@dataclass(frozen=True)
class ShortAfterPauses(Deadline):
    """After some pauses there is no time for another one, but enough for a command that runs."""

    ends: float = field(default_factory=lambda: deadline().ends)
    pauses: list[float] = field(default_factory=list)

    @property
    def left(self) -> float:
        return super().left if len(self.pauses) < 2 else 0.05

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        super().pause(seconds)


@dataclass(frozen=True)
class EndsWithFile(Deadline):
    """Over as soon as a script has written to the file."""

    ends: float = field(default_factory=lambda: deadline().ends)
    path: Path = Path()

    @property
    def left(self) -> float:
        return 0.0 if self.path.exists() and self.path.read_text().strip() else super().left


# --- ready ---


def test_a_host_without_hooks_is_ready(host: Host) -> None:
    report = host.ready(ReadyRequest(OP), deadline())
    assert (report.instance_id, report.hooks) == (INSTANCE, [])


def test_the_warm_up_runs_once_a_boot_also_across_a_restart_of_the_agent(machine: FakeMachine) -> None:
    machine.hook("warm-up", "echo warm; echo $SPOT_OPERATION_ID; echo token=$SPOT_TOKEN")
    first = host_of(machine).ready(ReadyRequest(OP), deadline())
    again = host_of(machine).ready(ReadyRequest("op-2"), deadline())
    assert first.hooks == again.hooks
    assert first.hooks[0].output == "warm\nop-1\ntoken=\n"
    assert machine.calls() == ["warm-up hook"]


def test_a_state_that_came_in_an_image_of_another_instance_does_not_count(machine: FakeMachine) -> None:
    machine.hook("warm-up", "")
    host_of(machine).ready(ReadyRequest(OP), deadline())
    Host("i-another", Hooks(machine.hooks), StateDir(machine.state)).ready(ReadyRequest(OP), deadline())
    assert machine.calls() == ["warm-up hook"] * 2


def test_a_warm_up_that_fails_is_told_with_its_output(machine: FakeMachine, host: Host) -> None:
    machine.hook("warm-up", "echo no cache >&2; exit 3")
    with pytest.raises(HostError, match=r"warm-up hook ended with 3: no cache") as failed:
        host.ready(ReadyRequest(OP), deadline())
    assert failed.value.hooks[0].exit_code == 3


def test_ready_with_health_waits_until_the_service_answers(machine: FakeMachine, host: Host) -> None:
    machine.hook("health", '[ "$(grep -c health "$FAKE/calls")" -ge 3 ] || { echo not yet; exit 1; }')
    report = host.ready(ReadyRequest(OP, check_health=True), deadline())
    assert [(hook.name, hook.exit_code) for hook in report.hooks] == [("health", 0)]
    assert machine.calls() == ["health hook"] * 3


def test_a_service_that_never_answers_fails_within_the_time(machine: FakeMachine, host: Host) -> None:
    machine.hook("health", "exit 1")
    with pytest.raises(HostError, match="not healthy in time"):
        host.ready(ReadyRequest(OP, check_health=True), ShortAfterPauses())
    assert machine.calls() == ["health hook"] * 3


# --- inventory ---


def test_the_inventory_has_the_data_filesystems_and_the_hooks(machine: FakeMachine, host: Host) -> None:
    machine.mount("uuid-data", "/data")
    machine.hook("start", "")
    found = host.inventory(InventoryRequest(OP), deadline())
    assert found.filesystems == [Filesystem("uuid-data", "/data", "xfs", "rw,noatime,attr2", "/dev/nvme1n1")]
    assert found.hooks == ["start"]


def test_blkid_tells_the_uuid_that_findmnt_does_not_know(machine: FakeMachine, host: Host) -> None:
    machine.mount("-", "/data")
    assert host.inventory(InventoryRequest(OP), deadline()).filesystems[0].uuid == "by-blkid"


# --- quiesce ---


def test_quiesce_stops_flushes_and_unmounts_in_this_order(machine: FakeMachine, host: Host) -> None:
    machine.mount("uuid-data", "/data")
    machine.hook("stop", "")
    report = host.quiesce(QuiesceRequest(OP, [DATA]), deadline())
    assert [call.split(" -")[0] for call in machine.calls()] == [
        "stop hook",
        "sync ",
        "findmnt",
        "umount /data",
        "findmnt",
    ]
    assert machine.mounts() == []
    assert (report.filesystems, report.hooks[0].name) == ([DATA], "stop")
    assert StateDir(machine.state).read(QUIESCED)["operation"] == OP


def test_quiesce_again_finds_its_work_done(machine: FakeMachine, host: Host) -> None:
    machine.mount("uuid-data", "/data")
    host.quiesce(QuiesceRequest(OP, [DATA]), deadline())
    assert host.quiesce(QuiesceRequest(OP, [DATA]), deadline()).filesystems == [DATA]


def test_nested_filesystems_are_unmounted_from_the_inside(machine: FakeMachine, host: Host) -> None:
    machine.mount("uuid-data", "/data")
    machine.mount("uuid-log", "/data/log", "/dev/nvme2n1")
    host.quiesce(QuiesceRequest(OP, [DATA, Filesystem("uuid-log", "/data/log", "xfs")]), deadline())
    assert [call for call in machine.calls() if call.startswith("umount")] == ["umount /data/log", "umount /data"]


def test_a_foreign_filesystem_on_the_same_target_is_left_alone(machine: FakeMachine, host: Host) -> None:
    machine.mount("uuid-foreign", "/data")
    host.quiesce(QuiesceRequest(OP, [DATA]), deadline())
    assert machine.mounts() == ["/data"]


def test_a_busy_filesystem_is_unmounted_once_it_is_let_go(machine: FakeMachine, host: Host) -> None:
    machine.mount("uuid-data", "/data")
    machine.busy()
    working = threading.Thread(target=host.quiesce, args=(QuiesceRequest(OP, [DATA]), deadline()))
    working.start()
    eventually(lambda: machine.calls().count("umount /data") >= 2)
    machine.busy(False)
    working.join(60)
    assert machine.mounts() == []


def test_a_filesystem_that_stays_busy_fails_the_fence_and_says_so(machine: FakeMachine, host: Host) -> None:
    machine.mount("uuid-data", "/data")
    machine.hook("stop", "echo stopped")
    machine.busy()
    with pytest.raises(HostError, match="target is busy") as failed:
        host.quiesce(QuiesceRequest(OP, [DATA]), ShortAfterPauses())
    assert failed.value.hooks[0].output == "stopped\n"
    assert StateDir(machine.state).read(QUIESCED) == {}


def test_a_stop_hook_that_fails_or_hangs_is_no_fence(machine: FakeMachine, host: Host) -> None:
    machine.mount("uuid-data", "/data")
    machine.hook("stop", 'echo begun > "$FAKE/begun"; sleep 600')
    with pytest.raises(HostError, match="stop hook was killed") as failed:
        host.quiesce(QuiesceRequest(OP, [DATA]), EndsWithFile(path=machine.folder / "begun"))
    assert failed.value.hooks[0].exit_code == TIMED_OUT
    assert machine.mounts() == ["/data"]


# --- resume ---


def test_resume_mounts_starts_and_waits_for_health(machine: FakeMachine, host: Host) -> None:
    StateDir(machine.state).write(QUIESCED, {"operation": OP})
    machine.attach("uuid-data")
    machine.hook("start", "")
    machine.hook("health", '[ "$(grep -c health "$FAKE/calls")" -ge 2 ]')
    report = host.resume(ServeRequest(OP, [DATA]), deadline())
    assert [call for call in machine.calls() if not call.startswith("findmnt")] == [
        "mount -o rw,noatime,X-mount.mkdir UUID=uuid-data /data",
        "start hook",
        "health hook",
        "health hook",
    ]
    assert [hook.name for hook in report.hooks] == ["start", "health"]
    assert StateDir(machine.state).read(QUIESCED) == {}


def test_resume_waits_for_the_volume_to_appear(machine: FakeMachine, host: Host) -> None:
    working = threading.Thread(target=host.resume, args=(ServeRequest(OP, [DATA]), deadline()))
    working.start()
    eventually(lambda: sum(call.startswith("mount") for call in machine.calls()) >= 2)
    machine.attach("uuid-data")
    working.join(60)
    assert machine.mounts() == ["/data"]


def test_resume_again_finds_its_filesystem_mounted(machine: FakeMachine, host: Host) -> None:
    machine.mount("uuid-data", "/data")
    host.resume(ServeRequest(OP, [DATA]), deadline())
    assert not any(call.startswith("mount ") for call in machine.calls())


def test_a_volume_that_never_appears_is_named_and_nothing_is_started(machine: FakeMachine, host: Host) -> None:
    machine.hook("start", "")
    with pytest.raises(HostError, match=r"cannot mount UUID=uuid-data at /data: .*can't find"):
        host.resume(ServeRequest(OP, [DATA]), ShortAfterPauses())
    assert "start hook" not in machine.calls()


def test_a_foreign_filesystem_is_never_covered(machine: FakeMachine, host: Host) -> None:
    machine.mount("uuid-foreign", "/data")
    machine.attach("uuid-data")
    with pytest.raises(HostError, match="already carries"):
        host.resume(ServeRequest(OP, [DATA]), deadline())


# --- hooks and deadlines ---


def test_a_hook_that_is_not_executable_says_how_to_mend_it(machine: FakeMachine, host: Host) -> None:
    machine.hook("start", "").chmod(0o644)
    with pytest.raises(HostError, match="chmod"):
        host.resume(ServeRequest(OP), deadline())


def test_a_hook_without_an_interpreter_fails_clearly(machine: FakeMachine, host: Host) -> None:
    machine.hook("start", "").write_text("#!/nowhere/sh\n")
    with pytest.raises(HostError, match="cannot run"):
        host.resume(ServeRequest(OP), deadline())


def test_a_hook_may_leave_a_daemon_behind(machine: FakeMachine, host: Host) -> None:
    """Nobody waits for it, though it holds the hook's output open."""
    machine.hook("start", '(while [ ! -f "$FAKE/go" ]; do sleep 0.02; done; echo ended > "$FAKE/ended") & echo started')
    report = host.resume(ServeRequest(OP), deadline())
    assert report.hooks[0].output == "started\n"
    assert not (machine.folder / "ended").exists()
    (machine.folder / "go").touch()
    eventually((machine.folder / "ended").exists)


def test_of_a_long_output_the_end_is_kept(machine: FakeMachine) -> None:
    outcome = run(["/bin/sh", "-c", "yes é | head -c 100000; echo last >&2"], deadline())
    assert len(outcome.output) == KEPT_CHARACTERS
    assert outcome.output.endswith("last\n")


def test_a_killed_hook_takes_its_children_along(machine: FakeMachine) -> None:
    file = machine.folder / "child"
    outcome = run(["/bin/sh", "-c", 'sleep 600 & echo $! > "$FAKE/child"; wait'], EndsWithFile(path=file))
    child = Path("/proc") / file.read_text().strip() / "stat"
    assert outcome.exit_code == TIMED_OUT
    eventually(lambda: not child.exists() or child.read_text().split()[2] == "Z")


def test_work_that_has_to_stop_is_not_waited_for(machine: FakeMachine) -> None:
    work, file = deadline(), machine.folder / "pid"

    def stop_once_it_runs() -> None:
        eventually(lambda: file.exists() and bool(file.read_text().strip()))
        work.stop.set()

    stopping = threading.Thread(target=stop_once_it_runs)
    stopping.start()
    with pytest.raises(StopRequested):
        run(["/bin/sh", "-c", 'echo $$ > "$FAKE/pid"; sleep 600'], work)
    stopping.join()
    assert work.left > 0, "it was stopped, and did not come to its end"
    assert not (Path("/proc") / file.read_text().strip()).exists()


def test_the_newest_request_takes_the_place_of_the_one_before() -> None:
    changes, old, new = HostLock(), deadline(), deadline()
    entered = threading.Event()

    def hold_until_told() -> None:
        with changes.hold(old):
            entered.set()
            old.stop.wait(60)

    threading.Thread(target=hold_until_told).start()
    assert entered.wait(60)
    with changes.hold(new):
        assert old.stop.is_set()
        assert not new.stop.is_set()
