"""`/_lab/...`: how tests and the demo control the lab, and see what really exists in it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any
from urllib.parse import parse_qs

from lab.call_log import CallLog
from lab.contracts import AgentImage
from lab.dispatch import HttpResponse
from lab.ec2 import initial_resources, notices, truth
from lab.ec2.errors import Ec2Error
from lab.ec2.world import World
from lab.faults import Faults, Permissions, Throttle
from lab.market.market import LIFECYCLES

log = logging.getLogger("lab.control_api")
Body = Mapping[str, Any]
BOTH_WAYS = ["imds", "sqs"]
INSTANCE = r"/instances/(?P<instance>i-[0-9a-f]+)"
POOL = r"/pools/(?P<zone>[a-z0-9-]+)/(?P<kind>[a-z0-9.-]+)/(?P<lifecycle>[a-z-]+)"


class ControlApi:
    def __init__(
        self, world: World, calls: CallLog, faults: Faults, throttle: Throttle, permissions: Permissions
    ) -> None:
        self.world = world
        self.calls = calls
        self.faults = faults
        self.throttle = throttle
        self.permissions = permissions
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., object]]] = [
            (method, re.compile(f"^/_lab{pattern}$"), work)
            for method, pattern, work in (
                ("GET", "/health", self._health),
                ("GET", "/world", lambda **_: initial_resources.launch_facts(self.world)),
                ("GET", "/truth", self._truth),
                ("GET", "/calls", self._calls),
                ("GET", "/market", lambda **_: {"pools": self.world.market.pools()}),
                ("GET", "/faults", lambda **_: {"faults": self.faults.list_all()}),
                ("POST", "/faults", lambda body, **_: self.faults.add(body)),
                ("DELETE", "/faults", lambda **_: self.faults.clear() or {"faults": []}),  # type: ignore[func-returns-value]
                ("POST", "/throttle", self._throttle),
                ("POST", "/quotas", self._quotas),
                ("GET", "/quotas", lambda **_: asdict(self.world.quotas)),
                ("POST", "/permissions", self._deny),
                ("GET", "/permissions", lambda **_: {"denied": self.permissions.list_all()}),
                ("POST", "/images/agent", self._image),
                ("POST", "/hooks", self._hooks),
                ("GET", "/identity-certificate", self._certificate),
                ("POST", f"{INSTANCE}/interrupt", self._interrupt),
                ("POST", f"{INSTANCE}/rebalance", self._rebalance),
                ("POST", f"{INSTANCE}/kill", self._kill),
                ("POST", f"{INSTANCE}/agent/kill", self._kill_agent),
                ("POST", f"{INSTANCE}/agent/hang", self._hang_agent),
                ("POST", f"{INSTANCE}/workload/kill", self._kill_workload),
                ("POST", f"{INSTANCE}/partition", self._partition),
                ("POST", f"{POOL}/capacity", self._capacity),
                ("POST", f"{POOL}/price", self._price),
            )
        ]

    def answer(self, environ: Mapping[str, Any], path: str, raw: bytes) -> HttpResponse:
        method = str(environ.get("REQUEST_METHOD"))
        try:
            body = json.loads(raw) if raw.strip() else {}
            if not isinstance(body, dict):
                raise ValueError("the body is a JSON object")
            query = {k: v[-1] for k, v in parse_qs(str(environ.get("QUERY_STRING") or "")).items()}
            for known, pattern, work in self._routes:
                match = pattern.match(path)
                if known == method and match:
                    return _json(200, work(body=body, query=query, **match.groupdict()))
            return _json(404, {"error": f"the lab has no {method} {path}"})
        except Ec2Error as error:
            status = 404 if error.code.endswith("NotFound") else error.status
            return _json(status, {"error": error.message, "code": error.code})
        except (TypeError, ValueError, KeyError) as error:
            return _json(400, {"error": str(error)})

    def _health(self, **_: Any) -> object:
        return {"ok": True, "region": self.world.region, "profile": self.world.profile.name, "is_aws": False}

    def _truth(self, **_: Any) -> object:
        return truth.everything(self.world)

    def _calls(self, query: Mapping[str, str], **_: Any) -> object:
        return {"calls": self.calls.since(int(query.get("since") or 0))}

    def _throttle(self, body: Body, **_: Any) -> object:
        rate = body.get("rate")
        self.throttle.set(None if rate is None else float(rate), body.get("burst"))
        return {"rate": rate, "burst": body.get("burst")}

    def _quotas(self, body: Body, **_: Any) -> object:
        for name in ("spot", "on_demand"):
            if name in body:
                setattr(self.world.quotas, name, float(body[name]))
        return asdict(self.world.quotas)

    def _deny(self, body: Body, **_: Any) -> object:
        self.permissions.deny(list(body["deny"]), str(body.get("access_key") or "*"))
        return {"denied": self.permissions.list_all()}

    def _image(self, body: Body, **_: Any) -> object:
        unknown = set(body) - {f.name for f in fields(AgentImage)}
        if unknown:
            raise ValueError(f"an agent image has no {', '.join(sorted(unknown))}")
        image = AgentImage(**body)
        self.world.hosts.set_image(image)
        return {**asdict(image), "token": "***" if image.token else ""}

    def _hooks(self, body: Body, **_: Any) -> object:
        self.world.hosts.set_hook_faults(body)
        return {"hooks": body}

    def _certificate(self, **_: Any) -> object:
        pem = getattr(self.world.hosts, "certificate_pem", None)
        if pem is None:
            raise Ec2Error("Certificate.NotFound", "these hosts have no identity certificate")
        return {"pem": pem()}

    def _interrupt(self, body: Body, instance: str, **_: Any) -> object:
        seconds = float(body.get("notice_seconds", 120))
        action = str(body.get("action") or "terminate")
        via = list(body.get("via", BOTH_WAYS))
        return self.world.transact(lambda: notices.interrupt(self.world, instance, seconds, action, via))

    def _rebalance(self, body: Body, instance: str, **_: Any) -> object:
        via = list(body.get("via", BOTH_WAYS))
        return self.world.transact(lambda: notices.rebalance(self.world, instance, via))

    def _kill(self, body: Body, instance: str, **_: Any) -> object:
        outcome = str(body.get("outcome") or "terminated")
        return self.world.transact(lambda: notices.kill(self.world, instance, outcome))

    def _kill_agent(self, instance: str, **_: Any) -> object:
        return {"done": self.world.hosts.kill_agent(self.world.instance(instance).id)}

    def _hang_agent(self, body: Body, instance: str, **_: Any) -> object:
        hung = bool(body.get("hung", True))
        return {"done": self.world.hosts.hang_agent(self.world.instance(instance).id, hung)}

    def _kill_workload(self, instance: str, **_: Any) -> object:
        return {"done": self.world.hosts.kill_workload(self.world.instance(instance).id)}

    def _partition(self, body: Body, instance: str, **_: Any) -> object:
        cut = bool(body.get("cut", True))
        self.world.hosts.partition(self.world.instance(instance).id, cut)
        return {"cut": cut}

    def _capacity(self, body: Body, zone: str, kind: str, lifecycle: str, **_: Any) -> object:
        _check_pool(lifecycle)
        room = body["capacity"]
        self.world.market.set_capacity(zone, kind, lifecycle, None if room is None else int(room))
        return {"zone": zone, "instance_type": kind, "lifecycle": lifecycle, "capacity": room}

    def _price(self, body: Body, zone: str, kind: str, lifecycle: str, **_: Any) -> object:
        if lifecycle != "spot" or float(body["price"]) <= 0:
            raise ValueError("the price of a spot pool can be set, and is above zero")
        self.world.market.set_price(zone, kind, float(body["price"]))
        return {"zone": zone, "instance_type": kind, "price": float(body["price"])}


def _check_pool(lifecycle: str) -> None:
    if lifecycle not in LIFECYCLES:
        raise ValueError(f"a pool's lifecycle is {' or '.join(LIFECYCLES)}")


def _json(status: int, content: object) -> HttpResponse:
    body = json.dumps(content, default=str).encode()
    return HttpResponse(status, body, [("Content-Type", "application/json")])
