"""What ships beside the code keeps its promises: hashes without addresses, no default passwords, loopback ports."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml

from lab.stack.settings import REPOSITORY

LOCKS = sorted((REPOSITORY / "requirements").glob("*.lock"))


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    text = (REPOSITORY / "docker-compose.yml").read_text()
    found: dict[str, dict[str, Any]] = yaml.safe_load(text)["services"]
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_file_has_hashes_and_no_address(lock: Any) -> None:
    text = lock.read_text()
    assert not re.search(r"://|^-|@ ", text, re.MULTILINE)
    requirements = re.split(r"\n(?=\S)", text.strip())
    assert all("==" in each and "--hash=sha256:" in each for each in requirements)


def test_the_lock_has_every_package_that_pyproject_names() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    locked = {_name(line) for line in (REPOSITORY / "requirements" / "dev.lock").read_text().splitlines()}
    assert {_name(line) for line in named} <= locked


def test_images_install_the_versions_that_are_tested() -> None:
    dev, *others = (_pins(REPOSITORY / "requirements" / f"{name}.lock") for name in ("dev", "runtime", "agent"))
    for pins in others:
        assert pins.items() <= dev.items()


def test_compose_has_no_default_password(services: dict[str, dict[str, Any]]) -> None:
    secret = re.compile(r"PASSWORD|PWD|TOKEN|KEY", re.IGNORECASE)
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            if secret.search(name) and value is not None and name != "MYSQL_RANDOM_ROOT_PASSWORD":
                assert re.fullmatch(r"\$\{\w+:\?.+\}", value), f"{name}={value}"


def test_compose_publishes_ports_on_loopback_only(services: dict[str, dict[str, Any]]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith(("127.0.0.1:", "${TEMPORAL_BIND:-127.0.0.1}:")) for port in published)


def test_every_lasting_service_of_compose_has_a_health_check(services: dict[str, dict[str, Any]]) -> None:
    lasting = {name for name, service in services.items() if service["restart"] == "unless-stopped"}
    assert lasting == {"mysql", "temporal-db", "temporal", "temporal-ui", "api", "worker", "prometheus", "grafana"}
    assert all("healthcheck" in services[name] for name in lasting)


def test_every_variable_of_compose_is_in_the_example() -> None:
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", (REPOSITORY / "docker-compose.yml").read_text()))
    example = (REPOSITORY / ".env.example").read_text()
    assert used - {"SPOT_VERSION", "SPOT_LOG_LEVEL"} <= set(re.findall(r"^#?(\w+)=$", example, re.MULTILINE))


def _name(line: str) -> str:
    return re.split(r"[^A-Za-z0-9_.-]", line)[0].lower().replace("_", "-")


def _pins(lock: Any) -> dict[str, str]:
    return dict(re.findall(r"^(\S+?)==(\S+)", lock.read_text(), re.MULTILINE))
