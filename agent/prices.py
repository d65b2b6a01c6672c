"""Spot prices that this host can read, for the control plane's records.

The instance metadata has no prices, and the agent has no AWS library and needs no permission. So the owner decides: a
hook named `prices` prints the answer of `aws ec2 describe-spot-price-history`, with the role of the instance. Without
the hook nothing is sent. No rescue waits for it.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator

from agent.commands import run
from agent.control_plane import ControlPlane, ControlPlaneError, ControlPlaneRefusal
from agent.deadline import Deadline, HostError, StopRequested
from agent.hooks import PRICES, Hooks
from agent.registrar import Registrar

log = logging.getLogger(__name__)

FIRST_S, EVERY_S = 60.0, 900.0
RUN_S = 60.0
MOST_CHARACTERS = 1_000_000
AT_ONCE = 1_000  # as many as the API takes in one request
_LINUX = ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")

Price = dict[str, object]


class PriceSender(threading.Thread):
    """Runs the hook every quarter of an hour, and sends what it prints."""

    def __init__(self, hooks: Hooks, control: ControlPlane, registrar: Registrar, stop: threading.Event) -> None:
        super().__init__(name="prices", daemon=True)
        self._hooks = hooks
        self._control = control
        self._registrar = registrar
        self._stopped = stop

    def run(self) -> None:
        delay = FIRST_S
        while not self._stopped.wait(delay):
            delay = EVERY_S
            try:
                self._send()
            except StopRequested:
                return
            except (ValueError, ControlPlaneError, HostError) as error:
                log.warning("prices were not sent: %s", error)

    def _send(self) -> None:
        registration, path = self._registrar.current, self._hooks.path(PRICES)
        if registration is None or path is None:
            return
        outcome = run([str(path)], Deadline.after(RUN_S), limit=MOST_CHARACTERS)
        if not outcome.ok:
            raise ValueError(f"the prices hook ended with {outcome.exit_code}: {outcome.output.strip()[-300:]}")
        prices = list(read_spot_prices(outcome.output))
        for first in range(0, len(prices), AT_ONCE):
            try:
                self._control.prices(prices[first : first + AT_ONCE], registration.instance_token)
            except ControlPlaneRefusal as error:
                if error.status == 401:
                    self._registrar.renew(registration)
                raise
        log.info("prices sent", extra={"prices": len(prices)})


def read_spot_prices(text: str) -> Iterator[Price]:
    """The Linux prices in an answer of `describe-spot-price-history`. Raises ValueError for another text."""
    try:
        rows = json.loads(text)["SpotPriceHistory"]
        for row in rows:
            if row.get("ProductDescription", _LINUX[0]) in _LINUX:
                yield {
                    "zone": row["AvailabilityZone"],
                    "instance_type": row["InstanceType"],
                    "usd_per_hour": float(row["SpotPrice"]),
                    "at": row["Timestamp"],
                }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the prices hook did not print describe-spot-price-history's JSON: {error!r}") from error
