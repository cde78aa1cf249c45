"""The compose file: read, not run."""

import re
from collections import Counter
from typing import Any

import pytest
import yaml

from ftassets.config.profiles import TRAFFIC_URL, VARIABLES
from ftassets_tests import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = dict(line.split("=", 1) for line in (DEPLOY / ".env.example").read_text().splitlines() if line and not line.startswith("#"))


def test_the_servers_of_the_profile_are_there() -> None:
    assert SERVICES.keys() == {"postgres", "lakefs", "qdrant", "mlflow"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_a_version_a_health_check_a_volume_and_loopback_ports(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":v?\d+\.\d+(\.\d+)?(-full)?$", service["image"]), service["image"]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert {"interval", "timeout", "retries"} < service["healthcheck"].keys()
    assert service["ports"]
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in service["ports"])
    assert {volume.split(":")[0] for volume in service["volumes"]} <= COMPOSE["volumes"].keys()
    assert all(needed["condition"] == "service_healthy" for needed in service.get("depends_on", {}).values())


def test_no_port_is_taken_twice() -> None:
    ports = Counter(port.split(":")[1] for service in SERVICES.values() for port in service["ports"])
    assert max(ports.values()) == 1


def test_secrets_come_from_the_environment_file() -> None:
    used = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    assert used <= EXAMPLE.keys()
    secret = {name for name in EXAMPLE if re.search("KEY|PASSWORD", name)}
    servers = secret - {"FTASSETS_SIGNING_KEY_FILE"}  # no server sees it
    assert used == servers, "what compose takes from outside is secret, and the other way round"
    assert not any(EXAMPLE[name] for name in secret), "an example holds no secret"
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            assert "${" in value or not re.search("KEY|PASSWORD|CONNECTION", name)


def test_the_example_has_every_variable_of_the_profile_and_the_ports_of_the_services() -> None:
    assert {name for names in VARIABLES["production"].values() for name in names} <= EXAMPLE.keys()
    assert EXAMPLE["FTASSETS_PROFILE"] == "production"
    assert TRAFFIC_URL in EXAMPLE
    for service, variable in (("lakefs", "LAKEFS_ENDPOINT"), ("qdrant", "QDRANT_URL"), ("mlflow", "MLFLOW_TRACKING_URI")):
        assert EXAMPLE[variable] == f"http://127.0.0.1:{SERVICES[service]['ports'][0].split(':')[1]}"
