"""What the demo prints while it runs and at its end. It is readable without a terminal too."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table

from proof.demo.report import Check, OperationReport
from proof.harness.api_client import epoch
from proof.harness.follower import Event

_WIDTH_WITHOUT_TERMINAL = 130
_NOTE = 90
_MARKS = {"committed": "green", "rolled_back": "yellow", "cancelled": "yellow", "needs_attention": "red"}


class Screen:
    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = _WIDTH_WITHOUT_TERMINAL
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self._began

    def act(self, title: str) -> None:
        self._console.print(Rule(f"[bold]{escape(title)}", align="left"))

    def say(self, text: str) -> None:
        self._console.print(f"[dim]{self.seconds:6.1f} s[/]  {escape(text)}", soft_wrap=True)

    def step(self, server: str, event: Event) -> None:
        """A step has ended: how long it took, and what it called."""
        payload = event.payload
        mark = "[green]✓[/]" if payload.get("ok") else "[red]✗[/]"
        words = ", ".join(str(call) for call in payload.get("calls") or ())
        note = str(payload.get("note") or "")
        detail = " — ".join(part for part in (note, words) if part)
        name, ms = escape(str(payload.get("step"))), f"{int(payload.get('ms') or 0):,}".replace(",", " ")
        self.raw(f"{mark} {escape(server):8}{name:8}{ms:>7} ms  [dim]{escape(_short(detail))}[/]")

    def raw(self, markup: str) -> None:
        self._console.print(f"[dim]{self.seconds:6.1f} s[/]  {markup}", soft_wrap=True)

    def plan(self, server: str, plan: Mapping[str, Any]) -> None:
        self.say(
            f"{server} now costs {plan['hourly_now']:.4f} USD/h in {plan['from_pool']}; "
            f"handoff {plan['handoff']}, expected outage on AWS {plan['expected_outage_s']:.1f} s"
        )
        self._console.print(_steps_table(plan["steps"]))
        self._console.print(_pools_table(plan["candidates"]))
        for moved in plan["moves"]:
            self._console.print(f"  moves with it: {escape(str(moved))}")

    def decision(self, server: str, decision: Mapping[str, Any]) -> None:
        """What the autopilot decided, and on which figures."""
        figures = decision["figures"]
        self.say(
            f"{server}: {decision['kind']} to {decision['to_pool']} because {decision['reason']}: saves "
            f"{figures['gain_usd_per_h']:.4f} USD/h, risk included; the move costs {figures['move_usd']:.4f} USD and "
            f"has paid for itself after {figures['payback_h']:.1f} h"
        )
        self._console.print(_figures_table(decision))

    def receipts(self, operations: Sequence[OperationReport]) -> None:
        self._console.print()
        self._console.print(_receipts_table(operations))

    def checks(self, found: Sequence[Check]) -> None:
        self._console.print()
        for check in found:
            mark = "[green]✓[/]" if check.held else "[bold red]✗[/]"
            figures = f"  [dim]{escape(check.figures)}[/]" if check.figures else ""
            self._console.print(f" {mark} {escape(check.name)}{figures}", soft_wrap=True)

    def failure(self, text: str) -> None:
        self._console.print(f"[bold red]✗ {escape(text)}[/]", soft_wrap=True)

    def log_tail(self, name: str, text: str) -> None:
        self._console.print(Rule(f"last lines of {escape(name)}", align="left", style="red"))
        self._console.print(escape(text) or "(nothing)", soft_wrap=True)


def _short(text: str) -> str:
    return text if len(text) <= _NOTE else f"{text[: _NOTE - 1]}…"


def _steps_table(steps: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("step", "what it does", "calls", "outage", title="the plan", title_justify="left")
    for step in steps:
        outage = "out" if step["outage"] else ""
        after = "point of no return" if step["point_of_no_return"] else ""
        table.add_row(str(step["name"]), str(step["does"]), ", ".join(step["calls"]), outage or after)
    return table


def _pools_table(candidates: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("", "pool", "USD/h", "why", title="pools, in the order they would be tried", title_justify="left")
    for number, one in enumerate(candidates, 1):
        table.add_row(str(number), str(one["pool"]), f"{one['usd_per_hour']:.4f}", str(one["reason"]))
    return table


def _figures_table(decision: Mapping[str, Any]) -> Table:
    figures = decision["figures"]
    title = f"the figures: an hour of outage is taken for {figures['outage_usd_per_h']:.2f} USD"
    table = Table("pool", "USD/h", "losses/h", "USD/h with risk", title=title, title_justify="left")
    table.add_row(f"{decision['from_pool']} (now)", "", "", f"{figures['cost_now_usd_per_h']:.4f}")
    for one in figures["candidates"]:
        row = (f"{one['usd_per_h']:.4f}", f"{one['losses_per_h']:.5f}", f"{one['cost_usd_per_h']:.4f}")
        table.add_row(str(one["pool"]), *row)
    return table


def _receipts_table(operations: Sequence[OperationReport]) -> Table:
    columns = ("server", "operation", "handoff", "from", "to", "outcome", "took", "outage", "writes", "lost")
    table = Table(*columns, "calls", "USD/h", title="receipts", title_justify="left")
    for one in operations:
        colour = _MARKS.get(one.outcome, "red")
        table.add_row(
            one.server,
            one.kind.replace("_", " "),
            one.handoff,
            _pool(one.from_pool),
            _pool(one.to_pool),
            f"[{colour}]{(one.outcome or 'unfinished').replace('_', ' ')}[/]",
            _took(one),
            f"{one.outage_ms} ms",
            str(one.writes_acknowledged),
            str(one.writes_lost),
            str(one.calls),
            f"{one.hourly_before:.4f} →\n{one.hourly_after:.4f}",
        )
    return table


def _took(one: OperationReport) -> str:
    if one.finished_at is None:
        return "-"
    return f"{epoch(one.finished_at) - epoch(one.requested_at):.1f} s"


def _pool(text: str) -> str:
    """Zone, type and lifecycle, a line each, to keep the table narrow."""
    return text.replace("/", "\n")
