"""The agents of a whole fleet in one process: `python -m proof.benchmarks.agent_fleet JOURNAL TEMPORAL API`.

JOURNAL is the lab's `hosts.jsonl` (`--no-hosts`). An instance that boots gets an agent, and loses it when it is off.
Each agent registers with the API by SPOT_TOKEN, and sends heartbeats as often as the API tells it. An instance with a
`token` in the journal is registered already. A line `watching N` every second says how many are being watched.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.client import Client

from domain.heartbeats import HEARTBEAT_S
from proof.benchmarks.http_pool import HttpPool
from proof.benchmarks.simulated_agent import SimulatedAgent

LOOK_S = 0.05
UNKNOWN_S = 2.0  # an instance may start before its record is written


class AgentFleet:
    def __init__(self, client: Client, http: HttpPool, token: str) -> None:
        self._client = client
        self._http = http
        self._token = token
        self._agents: dict[str, SimulatedAgent] = {}
        self._plugged: dict[str, tuple[str, str]] = {}
        self._running: dict[str, list[asyncio.Task[None]]] = {}

    @property
    def watched(self) -> int:
        return sum(one.watching for one in self._agents.values())

    def take(self, told: dict[str, Any]) -> None:
        """Act on one line of the journal."""
        if instance_id := told.get("boot"):
            self._boot(instance_id, told)
        elif instance_id := told.get("off"):
            self._agents.pop(instance_id, None)
            for task in self._running.pop(instance_id, []):
                task.cancel()
        elif volume := told.get("plug"):
            self._plugged[volume] = told["instance"], told["device"]
            if agent := self._agents.get(told["instance"]):
                agent.volumes[volume] = told["device"]
        elif volume := told.get("unplug"):
            instance_id, _ = self._plugged.pop(volume, ("", ""))
            if agent := self._agents.get(instance_id):
                agent.volumes.pop(volume, None)
        elif (instance_id := told.get("notice")) and (agent := self._agents.get(instance_id)):
            agent.give_notice(told["action"], datetime.fromisoformat(told["at"]))

    def _boot(self, instance_id: str, told: dict[str, Any]) -> None:
        agent = self._agents[instance_id] = SimulatedAgent(self._client, instance_id)
        agent.volumes.update({volume: device for volume, (at, device) in self._plugged.items() if at == instance_id})
        work = [agent.run(), self._report(instance_id, told)]
        self._running[instance_id] = [asyncio.ensure_future(one) for one in work]

    async def _report(self, instance_id: str, told: dict[str, Any]) -> None:
        """Register, then send heartbeats. They are spread, as in a fleet that did not start at one moment."""
        token = told.get("token") or await self._registered(instance_id, told)
        interval_s = float(told.get("heartbeat_s", HEARTBEAT_S))
        await asyncio.sleep(random.uniform(0, interval_s))
        while True:
            body = {"instance_id": instance_id, "agent_version": "bench", "at": datetime.now(UTC).isoformat()}
            try:
                status, said = await self._http.post("/api/agents/heartbeat", token, body)
                if status == 401:
                    token = await self._registered(instance_id, told)
                elif status == 200:
                    interval_s = float(json.loads(said)["next_in_s"])
            except OSError:
                pass  # the next one tries again
            await asyncio.sleep(interval_s)

    async def _registered(self, instance_id: str, told: dict[str, Any]) -> str:
        document = {"instanceId": instance_id, "region": told["region"], "accountId": told["account"]}
        body = {"identity_document": json.dumps(document), "signature": "none", "agent_version": "bench"}
        while True:
            try:
                status, said = await self._http.post("/api/agents/register", self._token, body)
                if status == 200:
                    return str(json.loads(said)["instance_token"])
            except OSError:
                pass  # the API may not know the instance yet
            await asyncio.sleep(UNKNOWN_S)


async def main(journal: Path, temporal: str, api: str) -> None:
    client = await Client.connect(temporal)
    fleet = AgentFleet(client, HttpPool(api), os.environ["SPOT_TOKEN"])
    told, since = 0.0, asyncio.get_running_loop().time
    with journal.open() as lines:
        while True:
            while line := lines.readline():
                if not line.endswith("\n"):
                    lines.seek(lines.tell() - len(line))  # the line is not complete yet
                    break
                fleet.take(json.loads(line))
            if since() - told >= 1.0:
                told = since()
                print(f"watching {fleet.watched}", flush=True)
            await asyncio.sleep(LOOK_S)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
