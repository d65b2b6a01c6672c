"""Our own programs as processes of the stack: how each is started, and when it counts as ready."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from lab.stack.processes import Probe, Process, StartFailed
from lab.stack.settings import REPOSITORY, StackSettings

Ports = Mapping[str, int]
Environment = Mapping[str, str]


def lab(settings: StackSettings, ports: Ports, network: str, environment: Environment) -> Process:
    argv = [sys.executable, "-m", "lab", "--port", str(ports["lab"]), "--imds-port", str(ports["lab_imds"])]
    argv += ["--service-port", str(ports["lab_service"]), "--network", network, "--region", settings.region]
    argv += ["--profile", settings.profile, "--seed", str(settings.seed), "--state-dir", str(settings.var / "lab")]
    if settings.prices:
        argv += ["--prices", str(settings.prices)]
    if not settings.hosts:
        argv += ["--no-hosts"]
    health = _answers(f"http://127.0.0.1:{ports['lab']}/_lab/health")
    return _program("lab", argv, settings, environment, health, stop_s=20)


def api(settings: StackSettings, ports: Ports, environment: Environment) -> Process:
    health = _answers(f"http://127.0.0.1:{ports['api']}/health/ready")
    return _program("api", [sys.executable, "-m", "api"], settings, environment, health)


def worker(number: int, settings: StackSettings, ports: Ports, environment: Environment) -> Process:
    """The worker touches the file that SPOT_WORKER_READY_FILE names once it polls. The first one tells its metrics."""
    name = f"worker-{number}"
    ready = settings.var / "run" / f"{name}.ready"
    ready.parent.mkdir(parents=True, exist_ok=True)
    environment = {**environment, "SPOT_WORKER_READY_FILE": str(ready), "SPOT_WORKER_NAME": name}
    if number == 1:
        for variable, port in (("SPOT_METRICS_PORT", "metrics"), ("SPOT_TEMPORAL_METRICS_PORT", "temporal_metrics")):
            environment = {**environment, variable: str(ports[port])}
    process = _program(name, [sys.executable, "worker.py"], settings, environment, _exists(ready), stop_s=12)
    process.before_start = lambda: ready.unlink(missing_ok=True)
    return process


def migrate(settings: StackSettings, environment: Environment) -> None:
    """Bring the schema up to date; safe to run twice."""
    log = settings.logs / "migrate.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "db", "upgrade"]
    done = subprocess.run(argv, cwd=REPOSITORY, env=dict(environment), capture_output=True, text=True, check=False)
    log.write_text(done.stdout + done.stderr)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise StartFailed(f"the migrations failed with exit code {done.returncode}.\nLast lines of {log}:\n{tail}")


def _program(
    name: str,
    argv: list[str],
    settings: StackSettings,
    environment: Environment,
    probe: Probe,
    stop_s: float = 10,
) -> Process:
    return Process(
        name=name,
        argv=argv,
        log=settings.logs / f"{name}.log",
        environment=environment,
        probe=probe,
        ready_s=60,
        stop_s=stop_s,
        folder=REPOSITORY,
    )


def _answers(url: str) -> Probe:
    # One client for all its probes: to make one reads the certificate store, 50 ms of a processor.
    client = httpx.Client(timeout=2, trust_env=False)

    def probe() -> str | None:
        answer = client.get(url)
        return None if answer.is_success else f"{url}: HTTP {answer.status_code} {answer.text[:300]}"

    return probe


def _exists(path: Path) -> Probe:
    return lambda: None if path.exists() else f"it has not made {path}"
