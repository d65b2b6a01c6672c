"""Start the lab: `python -m lab --port 4566 --imds-port 4567 --service-port 8080 --state-dir DIR`."""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

from lab.app import App, Server
from lab.contracts import PROFILES, LabSettings
from lab.ec2 import initial_resources
from lab.ec2.clock import Clock
from lab.ec2.instance_facts import Ec2InstanceFacts
from lab.ec2.world import World
from lab.market.history import BadPrices
from lab.market.market import open_market
from lab.null_hosts import NullHosts

log = logging.getLogger("lab")
EXTRA = ("instance_id", "volume_id", "call")


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({name: getattr(record, name) for name in EXTRA if hasattr(record, name)})
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def parse(arguments: Sequence[str]) -> tuple[LabSettings, bool]:
    parser = argparse.ArgumentParser(prog="lab", description="EC2 on one machine. It is not AWS.")
    parser.add_argument("--port", type=int, default=4566, help="EC2 endpoint and /_lab/")
    parser.add_argument("--imds-port", type=int, default=4567)
    parser.add_argument("--service-port", type=int, default=8080, help="the workload's port on every address")
    parser.add_argument("--network", default="127.20", help="first two octets of the VPC")
    parser.add_argument("--region", default="us-east-1", help="without --prices")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="fast")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--prices", type=Path, help="describe-spot-price-history as JSON, or CSV")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--access-log", type=Path, help="a file that gets a line of JSON for each call")
    parser.add_argument("--no-hosts", action="store_true", help="the API alone: no processes, no sockets")
    given = parser.parse_args(arguments)
    settings = LabSettings(
        state_dir=given.state_dir,
        port=given.port,
        imds_port=given.imds_port,
        service_port=given.service_port,
        network=given.network,
        region=given.region,
        profile=PROFILES[given.profile],
        seed=given.seed,
        prices=given.prices,
        access_log=given.access_log,
    )
    return settings, not given.no_hosts


def build(settings: LabSettings, with_hosts: bool, clock: Clock | None = None) -> App:
    """The composition root. Raises BadPrices."""
    market = open_market(settings.prices, settings.region, settings.seed)
    settings = replace(settings, region=market.region)
    cloud = Ec2InstanceFacts()
    world = World(settings, clock or Clock(), market)
    cloud.world = world
    if with_hosts:
        from lab.hosts.process_hosts import ProcessHosts

        world.hosts = ProcessHosts(settings, cloud)
    else:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        world.hosts = NullHosts(settings.state_dir / "hosts.jsonl")
    initial_resources.create(world)
    app = App(world)
    app.dispatcher.warm()
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for noisy in ("werkzeug", "botocore", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    settings, with_hosts = parse(sys.argv[1:] if arguments is None else arguments)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    try:
        app = build(settings, with_hosts)
    except BadPrices as error:
        sys.stderr.write(f"lab: the price file cannot be used: {error}\n")
        return 2
    server = Server(app, settings.port)
    ended = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: ended.set())
    threading.Thread(target=server.serve_forever, name="lab-http", daemon=True).start()
    gc.collect()
    gc.freeze()  # what is loaded stays, so that no garbage collection goes through it while calls wait
    log.info("ready: EC2 at http://127.0.0.1:%d in %s (this is not AWS)", settings.port, app.world.region)
    ended.wait()
    log.info("closing")
    server.shutdown()
    app.world.clock.close()
    app.world.hosts.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
