"""Writes the dashboards that Grafana is provisioned with: `python deploy/grafana/generate.py`.

A panel is one line below; the JSON around it is the same for all. A test holds the files against this script, and
every metric in a query against what the processes measure.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "prometheus"}

Panel = tuple[str, str, list[tuple[str, str]]]  # title, unit, [(query, legend)]


def _p95(name: str, by: str = "") -> list[tuple[str, str]]:
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return [
        (f"histogram_quantile({q}, sum by ({labels}) (rate({name}_bucket[$__rate_interval])))", f"p{q * 100:g}{legend}")
        for q in (0.5, 0.95)
    ]


def _rate(name: str, by: str) -> list[tuple[str, str]]:
    return [(f"sum by ({by}) (rate({name}[$__rate_interval]))", " ".join(f"{{{{{one}}}}}" for one in by.split(", ")))]


def _state(name: str, by: str = "") -> list[tuple[str, str]]:
    """Told by every process that reads the records: the largest stands for all."""
    return [(f"max by ({by}) ({name})" if by else f"max({name})", f"{{{{{by}}}}}" if by else name)]


OVERVIEW: list[Panel] = [
    ("Servers", "short", _state("spot_optimizer_servers")),
    ("Without a primary", "short", _state("spot_optimizer_servers_without_primary")),
    ("Need attention", "short", _state("spot_optimizer_operations_needing_attention")),
    ("USD per hour", "currencyUSD", _state("spot_optimizer_fleet_usd_per_hour")),
    ("USD of the last 24 hours, by part", "currencyUSD", _state("spot_optimizer_day_cost_usd", "part")),
    ("Saved in the last 24 hours", "currencyUSD", _state("spot_optimizer_day_savings_usd")),
    ("Instances", "short", _state("spot_optimizer_instances", "state")),
    ("Unfinished operations", "short", _state("spot_optimizer_operations", "status")),
    ("Running for over ten minutes", "short", _state("spot_optimizer_stuck_operations", "kind")),
    ("Oldest that has not committed", "s", _state("spot_optimizer_uncommitted_operation_seconds", "kind")),
    ("Agents online", "short", _state("spot_optimizer_agents_online")),
    ("Agents silent", "short", _state("spot_optimizer_agents_silent")),
    ("More than one primary", "short", _state("spot_optimizer_servers_with_several_primaries")),
    ("Drift", "short", [("max by (kind, action) (spot_optimizer_drift_findings)", "{{kind}}: {{action}}")]),
    ("Ledger", "short", _state("spot_optimizer_ledger_resources", "type")),
    ("Age of prices", "s", _state("spot_optimizer_price_age_seconds", "collection")),
    ("Age of the savings", "s", _state("spot_optimizer_savings_age_seconds")),
]
OPERATIONS: list[Panel] = [
    ("Launch", "s", _p95("spot_optimizer_launch_duration_seconds", "lifecycle")),
    ("Termination", "s", _p95("spot_optimizer_termination_duration_seconds", "lifecycle")),
    ("Switch to its commit", "s", _p95("spot_optimizer_switch_duration_seconds", "handoff")),
    ("Failover to its commit", "s", _p95("spot_optimizer_failover_duration_seconds", "handoff")),
    ("Outage", "s", _p95("spot_optimizer_outage_duration_seconds", "handoff")),
    ("Steps", "s", _p95("spot_optimizer_transition_duration_seconds", "step")),
    ("Operations, tidying up included", "s", _p95("spot_optimizer_operation_duration_seconds", "kind")),
    ("Operations by outcome", "ops", _rate("spot_optimizer_operation_duration_seconds_count", "kind, outcome")),
    ("Notices", "ops", _rate("spot_optimizer_notices_total", "kind, source")),
    ("Left of a notice at the commit", "s", _p95("spot_optimizer_notice_time_left_seconds")),
    ("Launches that a pool did not give", "ops", _rate("spot_optimizer_capacity_failures_total", "pool, reason")),
    ("Records that were rejected", "ops", [("sum(rate(spot_optimizer_records_rejected_total[$__rate_interval]))", "")]),
]
PROCESSES: list[Panel] = [
    ("Up", "short", [('up{job=~"spot-optimizer-.*"}', "{{job}} {{instance}}")]),
    ("Records can be read", "short", [("spot_optimizer_records_up", "{{job}} {{instance}}")]),
    (
        "API, to the first byte",
        "s",
        [
            (
                "histogram_quantile(0.95, sum by (le, route) (rate("
                'spot_optimizer_api_request_duration_seconds_bucket{route!~".*/stream"}[$__rate_interval])))',
                "{{route}}",
            )
        ],
    ),
    ("API requests", "reqps", _rate("spot_optimizer_api_request_duration_seconds_count", "method, status")),
    ("Event streams", "short", [("sum(spot_optimizer_event_readers)", "open")]),
    (
        "Database connections",
        "short",
        [
            ("sum by (job, instance, state) (spot_optimizer_database_pool_connections)", "{{job}} {{state}}"),
            ("spot_optimizer_database_pool_limit", "{{job}} limit"),
        ],
    ),
    ("Calls to AWS", "reqps", _rate("spot_optimizer_ec2_calls_total", "action")),
    (
        "Calls that AWS refused",
        "reqps",
        [
            (
                'sum by (action, code) (rate(spot_optimizer_ec2_calls_total{code!="ok"}[$__rate_interval]))',
                "{{action}} {{code}}",
            )
        ],
    ),
    ("Activities wait for a worker", "s", _p95("temporal_activity_schedule_to_start_latency_seconds", "task_queue")),
    (
        "Workflow tasks wait for a worker",
        "s",
        _p95("temporal_workflow_task_schedule_to_start_latency_seconds", "task_queue"),
    ),
    (
        "Free slots",
        "short",
        [("sum by (task_queue, worker_type) (temporal_worker_task_slots_available)", "{{task_queue}} {{worker_type}}")],
    ),
    ("Requests to Temporal that failed", "reqps", _rate("temporal_request_failure_total", "operation")),
    ("Processor", "percentunit", [("rate(process_cpu_seconds_total[$__rate_interval])", "{{job}} {{instance}}")]),
    ("Memory", "bytes", [("process_resident_memory_bytes", "{{job}} {{instance}}")]),
]
DASHBOARDS: dict[str, tuple[str, list[Panel]]] = {
    "overview": ("Spot Optimizer: fleet", OVERVIEW),
    "operations": ("Spot Optimizer: operations", OPERATIONS),
    "processes": ("Spot Optimizer: processes", PROCESSES),
}


def dashboard(uid: str, title: str, panels: list[Panel]) -> dict[str, Any]:
    return {
        "uid": f"spot-{uid}",
        "title": title,
        "tags": ["spot-optimizer"],
        "timezone": "utc",
        "schemaVersion": 38,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "panels": [_panel(number, *one) for number, one in enumerate(panels)],
    }


def _panel(number: int, title: str, unit: str, queries: list[tuple[str, str]]) -> dict[str, Any]:
    column, row = number % 3, number // 3
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": SOURCE,
        "gridPos": {"x": column * 8, "y": row * 8, "w": 8, "h": 8},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": SOURCE, "expr": query, "legendFormat": legend}
            for n, (query, legend) in enumerate(queries)
        ],
    }


def files() -> dict[Path, str]:
    return {
        HERE / f"{uid}.json": json.dumps(dashboard(uid, title, panels), indent=1) + "\n"
        for uid, (title, panels) in DASHBOARDS.items()
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
        sys.stdout.write(f"{path}\n")
