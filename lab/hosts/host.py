"""One machine of the lab: its directory, its process group, and how both end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.contracts import AgentImage, BootSpec, LabSettings
from lab.hosts import command_server, journal, paths, processes
from lab.hosts.disks import Disks

SHIMS = ("mount", "umount", "blkid", "findmnt", "lsblk", "sync", "fsfreeze", "systemctl")
HOOKS = ("start", "stop", "health", "warm-up")
GONE_TIMEOUT_S = 10.0
REBOOT_S = 6.0


class HostStillRunning(Exception):
    """Processes of a host are alive after SIGKILL."""


@dataclass(frozen=True)
class HostSettings:
    """What a host needs from the lab around it.

    `spawner` is a thread that never ends: a host dies with the thread that started it, so no short-lived
    thread may start one.
    """

    settings: LabSettings
    spawner: Executor


class Host:
    """Boots, shuts down and is powered off. Thread-safe."""

    def __init__(self, machine: HostSettings, spec: BootSpec) -> None:
        self.spec = spec
        self.started_at = time.time()
        self._machine = machine
        self._state = str(machine.settings.state_dir.absolute())
        self.directory = paths.host_dir(self._state, spec.instance_id)
        self._init: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()
        self._off = False
        self._stopped: dict[str, bool] = {"hung": False, "cut": False}

    @property
    def init_pid(self) -> int | None:
        """The pid of the host's init while it is live."""
        init = self._init
        return init.pid if init is not None and init.poll() is None else None

    def boot(self, image: AgentImage) -> None:
        with self._lock:
            if self.init_pid is not None:
                return
            self._off = False
            self._lay_out(image)
            Disks(self.directory).unmount_all()
            self._init = self._machine.spawner.submit(self._start_init).result()
            paths.write_json(paths.pid_file(self.directory, "init"), {"pid": self._init.pid})

    def shutdown(self) -> None:
        """SIGTERM to init, which passes it on to its services in order, as a system's init does."""
        with self._lock:
            pid = self.init_pid
            if pid is None:
                return
            self._resume_agent()
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def reboot(self, image: Callable[[], AgentImage]) -> None:
        """Shut down, wait for it (up to `REBOOT_S`), boot. Blocks: call it in a thread of its own."""
        self.shutdown()
        deadline = time.monotonic() + REBOOT_S
        while self.init_pid is not None and time.monotonic() < deadline:
            time.sleep(0.02)
        with self._lock:
            if self._off:
                return  # it was powered off meanwhile
            self._kill_all()
            self.boot(image())

    def power_off(self) -> None:
        """SIGKILL everything and return when it is gone."""
        self._off = True
        with self._lock:
            self._kill_all()
            if os.path.isdir(os.path.join(self.directory, "run")):
                Disks(self.directory).unmount_all()

    def pid_of(self, unit: str) -> int | None:
        """The pid of `agent` or `workload`, when it is this live host's own child."""
        parent = self.init_pid
        pid = paths.read_json(paths.pid_file(self.directory, unit)).get("pid")
        if parent is None or not isinstance(pid, int):
            return None
        process = processes.read_process(pid)
        return pid if process is not None and process.parent == parent else None

    def kill(self, unit: str) -> bool:
        return self._signal(unit, signal.SIGKILL)

    def stop_agent_for(self, reason: str, stopped: bool) -> bool:
        """SIGSTOP while there is any reason (`hung`, `cut`), SIGCONT when the last one is gone."""
        with self._lock:
            self._stopped[reason] = stopped
            return self._signal("agent", signal.SIGSTOP if any(self._stopped.values()) else signal.SIGCONT)

    def truth(self) -> Mapping[str, object]:
        pid = self.init_pid
        return {
            "live": pid is not None,
            "pid": pid,
            "processes": processes.of_host(self.directory, pid) if pid is not None else [],
            "agent": self.pid_of("agent"),
            "workload": self.pid_of("workload"),
            "private_ip": self.spec.private_ip,
            "directory": self.directory,
            "mounts": {t: row["volume"] for t, row in Disks(self.directory).mounts().items()} if pid else {},
            "devices": paths.read_json(paths.devices_file(self.directory)),
            "stopped": {reason: on for reason, on in self._stopped.items() if on},
        }

    def _signal(self, unit: str, number: signal.Signals) -> bool:
        pid = self.pid_of(unit)
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False

    def _resume_agent(self) -> None:
        """Resume the agent: a stopped process would delay the shutdown to its limit."""
        if any(self._stopped.values()):
            self._stopped = dict.fromkeys(self._stopped, False)
            self._signal("agent", signal.SIGCONT)

    def _kill_all(self) -> None:
        init = self._init
        if init is None:
            return
        deadline = time.monotonic() + GONE_TIMEOUT_S
        # Once init is reaped, its pid may belong to another process. The environment still identifies ours.
        root = init.pid if init.poll() is None else -1
        while members := processes.of_host(self.directory, root):
            # Children first: while init lives, processes that leave their parent still belong to it.
            for pid in sorted(members, key=lambda member: member == init.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise HostStillRunning(f"{self.spec.instance_id}: {members} are alive after SIGKILL")
            time.sleep(0.01)
        init.wait()
        self._init = None
        journal.close_runs(self._state, self.spec.instance_id, "powered off")

    def _lay_out(self, image: AgentImage) -> None:
        for name in ("run", "log", "etc", "bin", "hooks", "root", "under", "var/agent"):
            os.makedirs(os.path.join(self.directory, name), exist_ok=True)
        for name in SHIMS:
            self._command("bin", name, f"from lab.hosts.shims.{name} import main; sys.exit(main(sys.argv[1:]))")
        for name in HOOKS:
            self._command("hooks", name, f"from lab.hosts.image_hooks import main; sys.exit(main('{name}'))")
        settings = self._machine.settings
        facts = asdict(self.spec) | {
            "service_port": settings.service_port,
            "imds_endpoint": f"http://{self.spec.private_ip}:{settings.imds_port}",
            "agent": asdict(image),
        }
        paths.write_json(paths.spec_file(self.directory), facts, mode=0o600)

    def _command(self, folder: str, name: str, code: str) -> None:
        """Write an executable that knows its host even when its caller clears the environment."""
        python = f"import sys; sys.path.insert(0, {paths.REPOSITORY!r}); {code}"
        text = (
            "#!/bin/sh\n"
            f"{processes.HOST_VARIABLE}='{self.directory}'; export {processes.HOST_VARIABLE}\n"
            f"{self._short_cut(folder, name)}"
            f'exec {sys.executable} -ISc "{python}" "$@"\n'
        )
        path = Path(self.directory, folder, name)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def _short_cut(self, folder: str, name: str) -> str:
        """Let the host's init run the command. A hook with a fault may be killed, so it runs by itself."""
        if folder == "bin" and name not in command_server.SHIMS:
            return ""
        quiet = '[ -p "$LAB_HOST_DIR/run/commands" ]'
        if folder == "hooks":
            faults = paths.faults_file(self._state)
            quiet += f" && [ ! -e '{faults}' ] && [ ! -e \"$LAB_HOST_DIR/etc/fail-{name}\" ]"
            if '"fail"' in self.spec.user_data:
                return ""
        return f"if {quiet}; then\n{command_server.SCRIPT.format(name=name)}fi\n"

    def _start_init(self) -> subprocess.Popen[bytes]:
        with open(paths.log_file(self.directory, "init"), "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-S", "-s", "-m", "lab.hosts.init", self.directory, str(os.getpid())],
                cwd=paths.REPOSITORY,
                env={"PATH": "/usr/bin:/bin", processes.HOST_VARIABLE: self.directory},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
