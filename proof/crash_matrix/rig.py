"""A stack whose worker can be killed at a chosen place, with three servers that get requests all the time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx

from lab.loop_thread import loop_thread
from lab.stack import database
from lab.stack.ports import Leases
from lab.stack.settings import PARTS, StackSettings
from lab.stack.stack import Stack
from proof.crash_matrix.cells import BEFORE, GIVEN_UP, Cell
from proof.crash_matrix.scenarios import Scenario, TargetServer, ask_until_answered
from proof.crash_matrix.sql_proxy import SqlProxy
from proof.crash_matrix.workers import Workers
from proof.harness.server_owner import AdoptedServer, ServerSpec
from proof.harness.site import Site
from proof.harness.waiting import RequestFailed, until

MATRIX_SERVERS = {"volumes": ServerSpec("orders", "volumes", 8), "snapshot": ServerSpec("ledger", "snapshot", 8)}
MATRIX_SERVERS |= {"stateless": ServerSpec("web", "stateless")}
_QUIET = {"SPOT_AUTOPILOT_EVERY_S": "0", "SPOT_PRICES_EVERY_S": "0"}  # no calls of EC2 but the operation's
_HOOK_S = 1.5  # how long a hook waits for the kill
_REACHED_S = 60.0
_COOL_DOWN_S = 5.0


class Rig:
    """For each cell: `arm` its place, start the operation, and `strike` once it is `held` there."""

    def __init__(self, stack: Stack, site: Site, sql_proxy: SqlProxy, workers: Workers) -> None:
        self.stack = stack
        self.site = site
        self.sql_proxy = sql_proxy
        self.workers = workers
        self._cell: Cell | None = None
        self._made: dict[str, str] = {}  # the name of each server that was launched here
        self.number = 0  # runs so far; keys and names derive from it

    # --- servers

    def target(self, scenario: Scenario) -> TargetServer:
        """A server in the state that the scenario begins with."""
        if scenario.on == "none":
            return TargetServer("", "")
        if scenario.on == "fresh":
            return self._launched()
        server = self._server(scenario.on)
        if "spot" in scenario.needs and not self.site.primary(server)["pool"].endswith("/spot"):
            self._commit(server, "switch", f"to-spot-{self.number}")
        has_replica = self.site.api.server(server.id)["replica"] is not None
        if "replica" in scenario.needs and not has_replica:
            self._commit(server, "replica", f"replica-{self.number}")
        if "no-replica" in scenario.needs and has_replica:
            path, key = f"/api/servers/{server.id}/replica", f"no-replica-{self.number}"
            self.site.committed(ask_until_answered(self, lambda: self.call("DELETE", path, key)))
        return TargetServer(server.id, str(self.site.primary(server)["id"]), server)

    def _commit(self, server: AdoptedServer, what: str, key: str) -> None:
        """Request it until it is accepted, since the worker may be starting; then wait for its commit."""
        self.site.committed(ask_until_answered(self, lambda: self.site.ask(server, what, key)))

    def _server(self, kind: str) -> AdoptedServer:
        spec = MATRIX_SERVERS[kind]
        if spec.name not in self.site.servers:
            (server,) = self.site.adopt_servers(spec)
            zones = {"zones": list(self.site.market_choice.zones)} if kind == "snapshot" else {}
            self.site.api.change_policy(server.id, {"cool_down_s": _COOL_DOWN_S, **zones})
        return self.site.servers[spec.name]

    def _launched(self) -> TargetServer:
        key = f"fresh-{self.number}"
        self.site.committed(
            ask_until_answered(self, lambda: self.call("POST", "/api/instances", key, self.launch_body(key)))
        )
        (row,) = [row for row in self._all_servers() if row["name"] == key]
        self._made[str(row["id"])] = key
        return TargetServer(str(row["id"]), str(row["primary"]["id"]))

    def launch_body(self, name: str) -> dict[str, Any]:
        market_choice, world = self.site.market_choice, self.site.world
        launch = {
            "image_id": world["images"]["x86_64"],
            "pool": f"{market_choice.home}/{market_choice.kind}/spot",
            "subnet_id": world["subnets"][market_choice.home],
            "security_group_ids": [world["security_group_id"]],
            "user_data": json.dumps({"workload": "stateless"}),
        }
        policy = {"launch_timeout_s": 40.0, "terminate_timeout_s": 40.0, "hook_timeout_s": 15.0}
        return {"name": name, "region": self.stack.region, "policy": policy, "launch": launch}

    def name_of(self, target: TargetServer) -> str:
        return self._made[target.server_id]

    def elsewhere(self, target: TargetServer) -> str:
        """A pool in another zone than its first instance's. It is the same when it is asked for after the move."""
        (began,) = [row for row in self.site.api.instances() if row["id"] == target.before]
        zone, kind, _ = str(began["pool"]).split("/")
        zones = self.site.market_choice.zones
        away = zones[(list(zones).index(zone) + 1) % len(zones)]
        return f"{away}/{kind}/spot"

    def forget_made(self) -> list[str]:
        """Terminate what was launched here and still runs, as its owner would."""
        wrong = []
        for row in self._all_servers():
            if row["name"] in self._names_here() and row["state"] == "active" and row["primary"]:
                key = f"forget-{row['id']}"
                body = {"confirm": row["name"]}
                self.site.committed(self.call("POST", f"/api/instances/{row['primary']['id']}/terminate", key, body))
        for one in self.site.truth()["instances"]:
            if (
                one["state"] == "running"
                and not one["tags"].get("spot-optimizer:server")
                and not self._owned(one["id"])
            ):
                self.site.ec2.terminate_instances(InstanceIds=[one["id"]])
                wrong += self._end_of_released(str(one["id"]))
        return wrong

    def _end_of_released(self, instance_id: str) -> list[str]:
        def gone() -> bool | None:
            rows = [one for one in self.site.truth()["instances"] if one["id"] == instance_id]
            return True if all(one["state"] == "terminated" for one in rows) else None

        until(f"{instance_id} is gone", _REACHED_S, gone)
        return []

    def _owned(self, instance_id: str) -> bool:
        return any(row["id"] == instance_id and row["role"] for row in self.site.api.instances())

    def _names_here(self) -> set[str]:
        return {*self._made.values(), *(f"cell-{number}" for number in range(self.number + 1))}

    def _all_servers(self) -> list[dict[str, Any]]:
        return list(self.site.http.get("/api/servers", params={"limit": 200}).raise_for_status().json()["items"])

    # --- the API

    def call(self, method: str, path: str, key: str, body: Mapping[str, Any] | None = None) -> str:
        """Request an operation; returns its ID."""
        try:
            answer = self.site.http.request(method, path, json=body, headers={"Idempotency-Key": key})
        except httpx.HTTPError as error:
            raise RequestFailed(f"{method} {path}: {type(error).__name__}: {error}") from error
        if not answer.is_success:
            raise RequestFailed(f"{method} {path}: HTTP {answer.status_code} {answer.text[:300]}")
        operation_id = str(answer.json()["operation_id"])
        self.site.requested_operations.add(operation_id)
        return operation_id

    def cancel(self, operation_id: str) -> None:
        self.site.http.post(f"/api/operations/{operation_id}/cancel").raise_for_status()

    # --- where it is held

    def calls_so_far(self) -> int:
        calls = self.site.ask_lab("GET", "/_lab/calls")["calls"]
        return int(calls[-1]["seq"]) if calls else 0

    def calls_since(self, number: int) -> list[dict[str, Any]]:
        return list(self.site.ask_lab("GET", f"/_lab/calls?since={number}")["calls"])

    def arm(self, cell: Cell) -> None:
        self._cell, place = cell, cell.place
        when = "before" if cell.moment == BEFORE else "after"
        if place.kind == "ec2":
            fault = {"action": place.name, "kind": "hold", "nth": place.nth, "when": when}
            self.site.ask_lab("POST", "/_lab/faults", fault)
        elif place.kind == "db":
            self.sql_proxy.arm(place.nth, when)
        else:
            rule = {"next": 1, "sleep_s": _HOOK_S, "fail": False, "after": when == "after"}
            self.site.ask_lab("POST", "/_lab/hooks", {place.name: rule})

    def held(self) -> bool:
        assert self._cell is not None, "asked for only while a place is armed"
        place = self._cell.place
        if place.kind == "db":
            return self.sql_proxy.held
        if place.kind == "ec2":
            return any(one["held"] for one in self.site.ask_lab("GET", "/_lab/faults")["faults"])
        return self._hook_met() != ""

    def await_held(self, over: Callable[[], bool]) -> bool:
        """Wait until the place is reached. False when the operation ended without reaching it."""
        began = asked_at = time.monotonic()
        while time.monotonic() - began < _REACHED_S:
            if self.held():
                return True
            if time.monotonic() - asked_at > 0.5:
                asked_at = time.monotonic()
                if over():
                    return False
            time.sleep(0.01)
        return False

    def strike(self, give_up: Callable[[], None]) -> float:
        """Kill, release what is held, and start the next worker; returns the seconds until it was ready."""
        assert self._cell is not None, "asked for only while a place is armed"
        if self._cell.victim == "agent":
            self.site.ask_lab("POST", f"/_lab/instances/{self._hook_met()}/agent/kill")
            self.disarm()
            return 0.0
        self.workers.kill()
        if self._cell.moment == GIVEN_UP:
            give_up()
        self.disarm()
        return self.workers.start_next()

    def disarm(self) -> None:
        self.site.ask_lab("DELETE", "/_lab/faults")
        self.site.ask_lab("POST", "/_lab/hooks", {})
        self.sql_proxy.release()
        self._cell = None

    def _hook_met(self) -> str:
        """The instance whose hook waits; empty: none does."""
        try:
            rules = json.loads((self.stack.settings.var / "lab" / "fail.json").read_text())
        except (OSError, ValueError):
            return ""  # being written
        return next((str(rule.get("last") or "") for rule in rules.values()), "")


@contextmanager
def rig(settings: StackSettings, seed: int, say: Callable[[str], None], modules: Sequence[str] = ()) -> Iterator[Rig]:
    """Start everything, and stop it at the end."""
    settings = replace(settings, parts=frozenset(PARTS) - {"worker"})
    with (
        Stack(settings, report=lambda line: None) as stack,
        loop_thread("observer") as portal,
        loop_thread("gate") as gates,
        Leases() as leases,
    ):
        assert stack.database is not None, "a stack with a database has one"
        sql_proxy = SqlProxy(gates, stack.database.url, leases.port())
        workers = Workers(settings.var, {**stack.environment, **_QUIET, "DATABASE_URL": sql_proxy.url}, modules)
        site = Site(stack, portal, seed, say)
        try:
            workers.start_next()
            yield Rig(stack, site, sql_proxy, workers)
        finally:
            workers.close()
            site.close()
            sql_proxy.close()
    database.clean(settings.var)
