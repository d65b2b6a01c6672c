"""Tables and lines for people; programs use --json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

_COLOUR = {
    "committed": "green",
    "running": "cyan",
    "queued": "blue",
    "rolled_back": "yellow",
    "cancelled": "yellow",
    "needs_attention": "red",
    "failed": "red",
    "active": "green",
}


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    made = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for name in columns:
        right = name.startswith("$") or name in ("ms", "seq", "s", "outage")
        made.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(text(cell) for cell in row))
    return made


def text(cell: object) -> str:
    if cell is None:
        return ""
    words = escape(str(cell))
    colour = _COLOUR.get(words)
    return f"[{colour}]{words}[/{colour}]" if colour else words


def when(instant: str | None) -> str:
    """In local time; the date only when it is not today's."""
    if not instant:
        return ""
    local = datetime.fromisoformat(instant).astimezone()
    today = local.date() == datetime.now(local.tzinfo).date()
    return local.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M")


def money(usd: float | None) -> str:
    return "" if usd is None else f"{usd:.4f}"


def servers(items: Iterable[Mapping[str, Any]]) -> RenderableType:
    columns = ("name", "id", "state", "handoff", "primary", "pool", "$/h", "replica", "doing")
    return table("", columns, (_server_row(item) for item in items))


def _server_row(server: Mapping[str, Any]) -> list[object]:
    primary, replica, running = server["primary"] or {}, server["replica"] or {}, server["running"] or {}
    return [
        server["name"],
        server["id"],
        server["state"],
        server["handoff"],
        primary.get("id"),
        primary.get("pool"),
        money(primary.get("usd_per_hour")),
        replica.get("id"),
        running.get("kind"),
    ]


def server(item: Mapping[str, Any]) -> RenderableType:
    policy = ", ".join(f"{name}={value}" for name, value in item["policy"].items() if value not in ([], {}, None))
    return Group(
        servers([item]),
        "",
        table("", ("", ""), [("region", item["region"]), ("policy", policy), *(("moves", m) for m in item["moves"])]),
        "",
        operations(item["operations"]),
    )


def operations(items: Iterable[Mapping[str, Any]]) -> RenderableType:
    columns = ("id", "kind", "status", "from", "to", "requested", "s", "reason")
    rows = (
        [
            item["id"],
            item["kind"],
            item["status"] + (" !" if item["attention"] else ""),
            item["from_pool"],
            item["to_pool"] or item["asked_pool"],
            when(item["requested_at"]),
            "" if item["duration_seconds"] is None else f"{item['duration_seconds']:.1f}",
            item["reason"] or item["attention_reason"],
        ]
        for item in items
    )
    return table("operations", columns, rows)


def operation(item: Mapping[str, Any]) -> RenderableType:
    """The receipt: what was done, how long the server was out, what changed, what it costs."""
    receipt = item["receipt"] or {}
    facts = [
        ("operation", item["id"]),
        ("server", item["server_id"]),
        ("kind", f"{item['kind']} {item['handoff']}".strip()),
        ("status", item["status"]),
        ("from", item["from_pool"]),
        ("to", item["to_pool"]),
        ("reason", item["reason"] or item["attention_reason"]),
        *_measured(receipt),
        *(("tried", tried) for tried in receipt.get("tried_pools", [])),
    ]
    parts: list[RenderableType] = [table("", ("", ""), [fact for fact in facts if fact[1]]), "", steps(item["steps"])]
    if changes := receipt.get("changes"):
        rows = ([c["attribute"], c["before"], c["after"], c["reason"] or "UNEXPLAINED"] for c in changes)
        parts += ["", table("changes", ("attribute", "before", "after", "why"), rows)]
    return Group(*parts)


def _measured(receipt: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not receipt:
        return []
    outage = receipt.get("control_outage_ms")
    before, after = receipt.get("hourly_before") or 0.0, receipt.get("hourly_after") or 0.0
    return [
        ("outage", "none" if outage is None else f"{outage} ms"),
        ("EC2 calls", str(receipt.get("calls", ""))),
        ("per hour", f"${before:.4f} -> ${after:.4f}" if before or after else ""),
        ("unexplained", str(receipt.get("unexplained_changes") or "")),
    ]


def steps(items: Iterable[Mapping[str, Any]]) -> RenderableType:
    mark = {True: "done", False: "failed", None: "running"}
    rows = (
        [step["name"], mark[step["ok"]], when(step["started_at"]), step["ms"], ", ".join(step["calls"]), step["note"]]
        for step in items
    )
    return table("steps", ("step", "", "began", "ms", "calls", "note"), rows)


def plan(item: Mapping[str, Any]) -> RenderableType:
    head = [
        ("handoff", item["handoff"]),
        ("from", item["from_pool"]),
        ("expected outage", f"{item['expected_outage_s']:.1f} s"),
        ("per hour", f"${item['hourly_now']:.4f} -> ${item['hourly_then']:.4f}"),
        *_move(item["move"]),
        ("why", item["reason"]),
        *(("moves", move) for move in item["moves"]),
    ]
    pools = (
        [n, c["pool"], money(c["usd_per_hour"]), money(c["on_demand_usd_per_hour"]), c["placement_score"], c["reason"]]
        for n, c in enumerate(item["candidates"], 1)
    )
    what = (
        [
            step["name"] + (" (no way back from here)" if step["point_of_no_return"] else ""),
            step["does"],
            ", ".join(step["calls"]),
            f"{step['expected_s']:.1f}",
            "yes" if step["outage"] else "",
        ]
        for step in item["steps"]
    )
    verdict = "can be carried out" if item["executable"] else "[red]cannot be carried out[/red]"
    return Group(
        table("", ("", ""), head),
        "",
        table("pools, in the order they are tried", ("", "pool", "$/h", "$ on demand", "score", "why"), pools),
        "",
        table("steps", ("step", "does", "calls", "s", "outage"), what),
        *findings(item["findings"]),
        "",
        f"This plan {verdict}.",
    )


def _move(item: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What a move costs, and when it has paid for itself."""
    if item is None:
        return []
    parts = ", ".join(f"{name} ${item[f'{name}_usd']:.4f}" for name in ("overlap", "snapshot", "outage"))
    gain, hours = item["gain_usd_per_h"], item["payback_h"]
    by = "risk included" if item["with_risk"] else "by price alone"
    back = f"never, {by}" if hours is None else f"after {hours:.1f} h at ${gain:.4f} per hour, {by}"
    return [("move costs", f"${item['usd']:.4f}: {parts}"), ("paid back", "price not known" if gain is None else back)]


def findings(items: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    if not items:
        return []
    rows = (["blocks" if f["blocking"] else "note", f["code"], f["what"], f["mend"]] for f in items)
    return ["", table("findings", ("", "code", "what", "mend it"), rows)]


def adoption(item: Mapping[str, Any]) -> RenderableType:
    done = bool(item["server_id"])
    placement = item["placement"] or {}
    facts = [
        ("server", item["server_id"] or "(dry run: nothing was changed)"),
        ("name", item["name"]),
        ("handoff", item["handoff"]),
        ("pool", placement.get("pool")),
        *(("moves" if done else "would move", move) for move in item["moves"]),
    ]
    return Group(table("", ("", ""), [fact for fact in facts if fact[1]]), *findings(item["findings"]))


def resumption(item: Mapping[str, Any]) -> RenderableType:
    placement = {} if item["let_go"] else item["placement"] or {}
    became = "" if item["resumed"] else " (let go)" if item["let_go"] else " (dry run: nothing was changed)"
    facts = [
        ("server", item["server_id"] + became),
        ("runs on", placement.get("instance_id")),
        ("pool", placement.get("pool")),
        *(("needs attention", operation) for operation in item["ended"]),
    ]
    return Group(table("", ("", ""), [fact for fact in facts if fact[1]]), *findings(item["findings"]))


def event_line(console: Console, event: Mapping[str, Any]) -> None:
    about = [event.get("server_id"), event.get("instance_id"), event.get("operation_id")]
    payload = " ".join(f"{k}={v}" for k, v in event.get("payload", {}).items() if v not in (None, "", [], {}))
    line = [when(event.get("at")), str(event.get("seq", "")), str(event.get("type", "")), *filter(None, about)]
    console.print(escape("  ".join([*map(str, line), payload])), soft_wrap=True, highlight=False)
