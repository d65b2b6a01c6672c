"""`Stack`: database, Temporal, lab, API and workers on one machine, started and stopped together.

    with Stack(StackSettings(var=folder)) as stack:
        with stack.api() as api:
            api.get("/api/servers")
        stack.kill("worker-1")
        stack.restart("worker-1")

Several stacks can run at once: each has its own folder, ports and loopback network.

The lab's instances live as long as the lab. So a stack that starts a lab also starts with empty
records (of its private database; one that DATABASE_URL names is left as it is) and an empty Temporal:
what they knew of is gone. While it runs, each part can be killed and restarted and keeps its data.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

import httpx

from lab.stack import credentials, database, first_client, ports, programs, temporal, temporary_schema
from lab.stack.processes import Process
from lab.stack.settings import StackSettings, inherited

PrintLine = Callable[[str], None]

# What a first hour needs: savings to be seen within a minute, and webhooks that reach a receiver beside us.
_ON_ONE_MACHINE = {"SPOT_SAVINGS_EVERY_S": "60", "SPOT_WEBHOOKS_PRIVATE": "1"}
_FOUNDATIONS = frozenset({"database", "temporal", "lab"})  # they do without the rest, not the rest without them


class Stack:
    """A context manager. `processes` holds what runs, by name, in the order it was started."""

    def __init__(self, settings: StackSettings, report: PrintLine = print) -> None:
        self.settings = settings
        self.processes: dict[str, Process] = {}
        self.ports: Mapping[str, int] = {}
        self.network = ""  # first two octets of the lab's addresses
        self.region = settings.region  # the lab's: a file of prices has its own
        self.database: database.Database | None = None
        self.namespace = temporal.NAMESPACE
        self.credentials = credentials.load_or_make(settings.var)
        self._report = report
        self._leases = ports.Leases()
        self._lab_environment: dict[str, str] = {}
        self._starting = Lock()
        self._closing = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start every part and return when all are ready; on failure nothing is left running."""
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop everything, what leans on the rest first. May be called twice."""
        self._stop_processes()
        self._leases.close()
        if self.namespace != temporal.NAMESPACE:
            temporal.delete_namespace(self.temporal_address, self.namespace)
        if isinstance(self.database, temporary_schema.TemporarySchema):
            self.database.drop()

    # What a user of the stack needs to know.

    @property
    def urls(self) -> dict[str, str]:
        names = {"api": "api", "temporal_ui": "temporal_ui", "lab": "lab", "metrics": "metrics"}
        return {name: f"http://127.0.0.1:{self.ports[port]}" for name, port in names.items()}

    @property
    def temporal_address(self) -> str:
        return self.settings.temporal_server or f"127.0.0.1:{self.ports['temporal']}"

    @property
    def environment(self) -> dict[str, str]:
        """What every program of the control plane is started with. It holds secrets."""
        return {
            **_ON_ONE_MACHINE,
            **inherited(os.environ),
            "DATABASE_URL": self.database.url if self.database else self.settings.database_url,
            "TEMPORAL_ADDRESS": self.temporal_address,
            "TEMPORAL_NAMESPACE": self.namespace,
            "SPOT_ADMIN_TOKEN": self.credentials.admin_token,
            "SPOT_SIGNING_KEY": self.credentials.signing_key,
            "SPOT_API_HOST": "127.0.0.1",
            "SPOT_API_PORT": str(self.ports["api"]),
            "SPOT_AGENT_TEMPORAL_ADDRESS": self.temporal_address,
            "SPOT_TEMPORAL_UI_URL": self.urls["temporal_ui"],
            **self.aws,
            **self._lab_environment,
            **self.settings.extra,
        }

    @property
    def aws(self) -> dict[str, str]:
        """Sends boto3, and the aws CLI, to the lab and nowhere else."""
        return {
            "AWS_ENDPOINT_URL": self.urls["lab"],
            "AWS_ACCESS_KEY_ID": "lab",
            "AWS_SECRET_ACCESS_KEY": "lab",
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def api(self, token: str | None = None, timeout: float = 30) -> httpx.Client:
        """A client of the API; with no token given, the demo client's."""
        return _http(self.urls["api"], timeout, token or self.credentials.client_token)

    def admin(self) -> httpx.Client:
        return _http(self.urls["api"], 30, self.credentials.admin_token)

    def lab(self, timeout: float = 30) -> httpx.Client:
        """The lab's control side, under /_lab/."""
        return _http(self.urls["lab"], timeout)

    # Faults. Ports and data stay, so that what comes back is the same to its callers.

    def kill(self, name: str) -> None:
        """SIGKILL, and no restart."""
        self.processes[name].kill()

    def stop(self, name: str) -> None:
        self.processes[name].stop()

    def restart(self, name: str) -> None:
        """Start it (after stopping it, if it runs) and wait until it is ready again."""
        self.processes[name].restart()
        if name == "lab" and self.credentials.client_token:
            self._bake()

    # How it starts.

    def _start(self) -> None:
        self.settings.logs.mkdir(parents=True, exist_ok=True)
        choices, standard = self.settings.port_choices, self.settings.standard_ports
        self.ports = ports.choose(self._leases, choices, standard=standard)
        self.network = self._leases.network()
        foundations = {"database": self._raise_database, "temporal": self._raise_temporal, "lab": self._raise_lab}
        self._together([task for part, task in foundations.items() if self._has(part)])
        self._together([partial(self._run, process) for process in self._control_plane()])
        if self._has("api"):
            self._introduce_client()

    def _together(self, tasks: Sequence[Callable[[], None]]) -> None:
        """Do them side by side; when one fails, or Ctrl-C comes, end what the others wait for."""
        with ThreadPoolExecutor(max_workers=max(1, len(tasks))) as pool:
            try:
                for done in as_completed([pool.submit(task) for task in tasks]):
                    done.result()
            except BaseException:
                self._stop_processes()
                raise

    def _run(self, process: Process) -> None:
        with self._starting:
            if self._closing:
                return
            self.processes[process.name] = process
            process.start()
        process.wait_ready()
        self._report(f"{process.name} is ready")

    def _raise_database(self) -> None:
        if self.settings.database_url:
            self.database = database.Database(self.settings.database_url)
            self.database.wait_ready()
        elif self.settings.database_server:
            self._raise_guest()
        else:
            own = database.private(self.settings.var, self.ports["database"])
            self.database = own
            self._run(own.process)
            if self._has("lab"):
                own.create_schema(database.SCHEMA)
        programs.migrate(self.settings, self.environment)
        self._report("the schema is up to date")

    def _raise_guest(self) -> None:
        log = self.settings.logs / "database.log"
        made = temporary_schema.TemporarySchema(self.settings.database_server, self.ports["database"], log)
        made.create()
        self.database = made
        self._run(made.process)

    def _raise_temporal(self) -> None:
        if self.settings.temporal_server:
            self.namespace = temporal.create_namespace(self.settings.temporal_server)
            return
        if self._has("lab"):
            temporal.delete_state(self.settings.var / "temporal.db")
        server = temporal.TemporalServer(
            port=self.ports["temporal"],
            http=self.ports["temporal_http"],
            ui=self.ports["temporal_ui"],
            log=self.settings.logs / "temporal.log",
            database=self.settings.var / "temporal.db",
            search_attributes=self.settings.search_attributes,
        )
        self._run(server.process())

    def _raise_lab(self) -> None:
        environment = {**inherited(os.environ), **self.settings.extra}
        self._run(programs.lab(self.settings, self.ports, self.network, environment))
        self._learn_from_lab()

    def _control_plane(self) -> Iterator[Process]:
        if self._has("api"):
            yield programs.api(self.settings, self.ports, self.environment)
        if self._has("worker"):
            for number in range(1, self.settings.workers + 1):
                yield programs.worker(number, self.settings, self.ports, self.environment)

    def _learn_from_lab(self) -> None:
        with self.lab() as lab:
            world = lab.get("/_lab/world").raise_for_status().json()
            self._lab_environment = {"SPOT_NOTICE_QUEUE_URL": str(world["queue_url"])}
            if self.settings.hosts:
                self._lab_environment["SPOT_IDENTITY_CERTIFICATE"] = str(self._certificate(lab))
        self.region = str(world["region"])

    def _certificate(self, lab: httpx.Client) -> Path:
        path = self.settings.var / "run" / "identity.pem"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(lab.get("/_lab/identity-certificate").raise_for_status().json()["pem"])
        return path

    def _introduce_client(self) -> None:
        with self.api() as api:
            self.credentials = first_client.ensure_client(api, self.credentials)
        credentials.save(self.settings.var, self.credentials)
        if self._has("lab"):
            self._bake()

    def _bake(self) -> None:
        with self.lab() as lab:
            token = self.credentials.client_token
            first_client.bake_image(lab, self.urls["api"], token, self.temporal_address, self.namespace)

    def _stop_processes(self) -> None:
        with self._starting:
            self._closing = True
        for wave in (self.processes.keys() - _FOUNDATIONS, self.processes.keys() & _FOUNDATIONS):
            with ThreadPoolExecutor(max_workers=8) as pool:
                list(pool.map(self.stop, wave))

    def _has(self, part: str) -> bool:
        return part in self.settings.parts


def _http(base: str, timeout: float, token: str = "") -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=base, headers=headers, timeout=timeout, trust_env=False)
