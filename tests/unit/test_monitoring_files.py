"""Alerts, dashboards and runbooks: tried by promtool, and made of metrics that the processes have."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from sqlalchemy import create_engine

from db.status.control_plane import ControlPlaneStatus
from db.status.overview import Overview
from lab.stack import apt
from lab.stack.settings import REPOSITORY
from telemetry.metrics.fleet import FleetCollector
from telemetry.metrics.registries import ApiMetrics, measure_process
from telemetry.metrics.worker import WorkerMetrics

RULES = REPOSITORY / "deploy" / "prometheus" / "alerts.yml"
DASHBOARDS = sorted((REPOSITORY / "deploy" / "grafana" / "dashboards").glob("*.json"))
RUNBOOKS = REPOSITORY / "docs" / "runbooks"
_PACKAGE = "prometheus"  # of Debian: it has promtool
_NAME = re.compile(r"\b(?:spot_optimizer|process|python|temporal)_\w+\b")
# Of Prometheus itself, and of the SDK's own exporter, which only a running worker has: tests/e2e compares those.
_ELSEWHERE = re.compile(r"up$|temporal_")


class PromtoolUnavailable(Exception):
    """There is no promtool, and it could not be installed."""


def find_or_install_promtool() -> str:
    """The path of the program."""
    try:
        found = apt.find_or_install(lambda: shutil.which("promtool"), "promtool", _PACKAGE)
    except apt.CannotInstall as error:
        raise PromtoolUnavailable(f"no promtool is here, and {error}: sudo apt-get install {_PACKAGE}") from error
    if found is None:
        raise PromtoolUnavailable(f"{_PACKAGE} was installed, but there is no promtool")
    return found


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> list[tuple[str, str]]:
    """Where it stands, and the query."""
    found = [(f"alert {one['alert']}", one["expr"]) for one in alerts()]
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            found += [(f"{path.name}: {panel['title']}", target["expr"]) for target in panel["targets"]]
    return found


def names_in(query: str) -> set[str]:
    """Metrics, without what stands in braces (labels) and after `by` (labels too)."""
    plain = re.sub(r"\{[^}]*\}", "", query)
    return set(_NAME.findall(re.sub(r"\bby \([^)]*\)", "", plain)))


@pytest.fixture(scope="module")
def measured() -> set[str]:
    """Every sample name that an API process and a worker tell, from their own registries."""
    engine = create_engine("mysql+pymysql://nobody@127.0.0.1:1/none")
    whole = ControlPlaneStatus(Overview(), accrual_age_s=0.0)
    found: set[str] = set()
    api = ApiMetrics(engine, None, lambda: 0)  # type: ignore[arg-type]  # the records are not read here
    worker = CollectorRegistry()
    WorkerMetrics(worker)
    measure_process(worker, engine, None)  # type: ignore[arg-type]
    records = CollectorRegistry()
    FleetCollector(lambda: whole).register(records)
    for registry in (api.registry, worker, records):
        found |= _sample_names(registry)
    return found


def _sample_names(registry: CollectorRegistry) -> set[str]:
    families: list[Metric] = list(registry.collect())
    generate_latest(registry)  # what cannot be written is no metric
    found = set()
    for family in families:
        match family.type:
            case "histogram":
                found |= {f"{family.name}_{part}" for part in ("bucket", "count", "sum")}
            case "counter":
                found.add(f"{family.name}_total")
            case _:
                found.add(family.name)
    return found


@pytest.fixture(scope="module")
def program() -> str:
    try:
        return find_or_install_promtool()
    except PromtoolUnavailable as error:
        pytest.skip(f"the alert rules are not tried: {error}")


def test_promtool_takes_the_rules(program: str) -> None:
    done = subprocess.run([program, "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_when_it_should_and_not_before(program: str) -> None:
    tests = RULES.with_name("alerts_test.yml")
    done = subprocess.run([program, "test", "rules", str(tests)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    tried = {one["alertname"] for test in yaml.safe_load(tests.read_text())["tests"] for one in test["alert_rule_test"]}
    assert tried == {one["alert"] for one in alerts()}


def test_promtool_notices_an_alert_that_fires_too_late(program: str, tmp_path: Path) -> None:
    (tmp_path / "alerts.yml").write_text(RULES.read_text().replace("> 120", "> 300"))
    (tmp_path / "test.yml").write_text(RULES.with_name("alerts_test.yml").read_text())
    done = subprocess.run(
        [program, "test", "rules", str(tmp_path / "test.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0


def test_promtool_takes_the_configuration(program: str, tmp_path: Path) -> None:
    """`--syntax-only`: the secret's file exists in the container alone."""
    given = RULES.with_name("prometheus.yml")
    done = subprocess.run(
        [program, "check", "config", "--syntax-only", str(given)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    urls = {one["alert"]: one["annotations"]["runbook_url"] for one in alerts()}
    for alert, url in urls.items():
        text = (REPOSITORY / url).read_text()
        assert text.startswith(f"# {alert}\n")
        for heading in ("What it means", "What to look at", "What to do"):
            assert f"\n## {heading}\n" in text, f"{url} lacks {heading}"
    assert {str(path.relative_to(REPOSITORY)) for path in RUNBOOKS.glob("*.md")} == set(urls.values())


def test_every_alert_is_labelled_and_says_what_it_is_about() -> None:
    for one in alerts():
        assert one["labels"]["severity"] in ("page", "warn")
        assert one["annotations"]["summary"]


def test_links_in_runbooks_lead_somewhere() -> None:
    for page in RUNBOOKS.glob("*.md"):
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            path = page.parent / target
            assert path.exists() or path.with_suffix(".md").exists(), f"{page.name}: {target}"


def test_every_metric_in_a_query_is_measured(measured: set[str]) -> None:
    missing = {
        f"{where}: {name}"
        for where, query in queries()
        for name in names_in(query)
        if not _ELSEWHERE.match(name) and name not in measured
    }
    assert not missing
    assert len(measured) > 40


def test_a_query_of_a_metric_that_is_not_there_would_be_noticed(measured: set[str]) -> None:
    assert names_in('sum by (le) (rate(spot_optimizer_made_up_seconds_bucket{kind="x"}[5m]))') - measured


def test_what_the_product_measures_is_shown_somewhere(measured: set[str]) -> None:
    """A metric that no panel and no alert looks at is one that nobody would miss."""
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for _, query in queries() for name in names_in(query)}
    ours = {re.sub(r"_(bucket|count|sum)$", "", name) for name in measured if name.startswith("spot_optimizer_")}
    assert ours - shown == set()


def test_the_dashboards_are_those_that_the_script_makes() -> None:
    path = REPOSITORY / "deploy" / "grafana" / "generate.py"
    specification = importlib.util.spec_from_file_location("generate", path)
    assert specification is not None
    assert specification.loader is not None
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    assert {path: path.read_text() for path in DASHBOARDS} == script.files(), "run python deploy/grafana/generate.py"


def test_a_panel_has_a_query_and_its_data_source(measured: set[str]) -> None:
    source = yaml.safe_load(
        (REPOSITORY / "deploy" / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text()
    )
    [uid] = [one["uid"] for one in source["datasources"]]
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            assert panel["datasource"]["uid"] == uid
            assert panel["targets"]


def test_prometheus_scrapes_the_ports_that_compose_opens_inside() -> None:
    compose = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
    worker, api = compose["worker"]["environment"], compose["api"]["environment"]
    jobs = {
        one["job_name"]: one for one in yaml.safe_load(RULES.with_name("prometheus.yml").read_text())["scrape_configs"]
    }
    assert jobs["spot-optimizer-worker"]["dns_sd_configs"][0]["port"] == int(worker["SPOT_METRICS_PORT"])
    sdk = jobs["spot-optimizer-temporal-sdk"]["dns_sd_configs"][0]
    assert sdk["port"] == int(worker["SPOT_TEMPORAL_METRICS_PORT"])
    assert jobs["spot-optimizer-api"]["static_configs"][0]["targets"] == [f"api:{api['SPOT_API_PORT']}"]
