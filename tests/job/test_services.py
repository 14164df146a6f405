"""Ids of services against the network's client functions (`services.json` holds their answers)."""

import json
from pathlib import Path
from typing import Any

import pytest

from node.job.exposure import deployment_endpoint, deployment_key, exposed, public_id, short_hash
from node.job.preview import Circumstances, preview
from node.job.services import Exposure, first_services, host_names, late_services
from node.job.store import Store
from node.plan_records import HealthCheck, HealthCheckKind, Service

VECTORS = json.loads(Path(__file__).with_name("services.json").read_text())
JOB = "7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41"


@pytest.mark.parametrize("case", VECTORS["createHash"], ids=lambda case: case["input"] or "nothing")
def test_hashes(case: dict[str, Any]) -> None:
    assert short_hash(case["input"], case["len"]) == case["out"]


@pytest.mark.parametrize("case", VECTORS["getExposeIdHash"], ids=lambda case: f"{case['op']}-{case['port']}")
def test_ids(case: dict[str, Any]) -> None:
    assert public_id(case["op"], str(case["port"]), case["flowId"]) == case["id"]


def test_deployments() -> None:
    for case in VECTORS["deployment"]["vectors"]:
        key = deployment_key(case["deployment_id"], case["project"])
        assert key == case["deploymentHash"]
        assert deployment_endpoint(key, case["opId"]) == case["endpointId"]


@pytest.mark.parametrize("case", VECTORS["jobs"], ids=lambda case: case["name"])
def test_services_of_jobs(case: dict[str, Any]) -> None:
    shown = preview(case["job"], Circumstances(job=case["flowId"]))["services"]
    assert [service["service_id"] for service in shown] == case["getJobExposeIdHash"]
    assert [
        (each["service_id"], each["op_index"], each["op_id"], each["port"], each["health_check"]) for each in shown
    ] == [
        (each["hash"], each["opIndex"], each["opId"], each["port"], each["hasHealthCheck"])
        for each in case["getJobExposedServices"]
    ]


STORE = Store({"a": {"results": {"ports": ["[90,91]"]}}}, {"variables": {"p": "8080", "many": "[81,82]"}})


def services(expose: Any, store: Store = STORE, **more: Any) -> tuple[Service, ...]:
    return first_services(Exposure(3, "b", JOB, expose, **more), store)


@pytest.mark.parametrize(
    ("expose", "ports"),
    [
        (80, ["80"]),
        (80.0, ["80"]),
        ("8000-8005", ["8000-8005"]),
        ([80, "81", {"port": 82}, {"port": "83-84"}], ["80", "81", "82", "83-84"]),
        ({"port": 80}, []),
        ([80, 80, "80"], ["80"]),
        ([0, -1, 65536, 80.5, 1e300, "x", "5-1", "", None, True, {}, {"port": None}], []),
        ("%%ops.a.results.ports%%", ["90", "91"]),
        ("%%ops.z.results.ports%%", []),
        (["%%ops.a.results.ports%%", 80], ["90", "91", "80"]),
        ([{"__spread__": "%%ops.a.results.ports%%"}], ["90", "91"]),
        (None, []),
        ([], []),
    ],
)
def test_every_form(expose: Any, ports: list[str]) -> None:
    found = services(expose)
    assert [service.port for service in found] == ports
    assert all(service.id == public_id(3, service.port, JOB) for service in found)


def test_a_literal_s_port_is_found_by_the_literal_s_text_as_well() -> None:
    # Clients hash what is written; the id of the port itself is served too.
    by_text = public_id(3, "%%global.variables.p%%", JOB)
    assert services("%%global.variables.p%%") == (Service(public_id(3, "8080", JOB), "8080"), Service(by_text, "8080"))
    assert host_names(services("%%global.variables.p%%"), "d") == {"8080": f"{public_id(3, '8080', JOB)}.d"}


def test_private_ids_are_random_and_stay() -> None:
    first, second = services([80, 81], private=True)
    assert first.private
    assert len(first.id) == len(second.id) == 45
    assert len({first.id, second.id, services(80, private=True)[0].id}) == 3
    again = late_services(Exposure(3, "b", JOB, [80, 81], True), exposed([80, 81]), STORE, (first, second))
    assert again == (first, second)


def test_private_ids_of_ports_that_come_late_are_drawn_at_once() -> None:
    exposure = Exposure(3, "b", JOB, [80, "%%ops.z.results.p%%"], True)
    known, secret = first_services(exposure, STORE)
    assert (known.port, secret.port) == ("80", "%%ops.z.results.p%%")
    once = late_services(exposure, exposed([80, 90, 91]), STORE, (known, secret))
    assert once == late_services(exposure, exposed([80, 90, 91]), STORE, (known, secret))
    assert [service.port for service in once] == ["80", "90", "91"]
    assert once[0] == known
    assert len({known.id, secret.id, *(service.id for service in once)}) == 4
    assert all(len(service.id) == 45 for service in once)
    assert host_names((known, secret), "d") == {"80": f"{known.id}.d"}


def test_known_ports_beside_unknown_ones_are_named_at_once() -> None:
    assert [service.port for service in services([80, "%%ops.z.results.p%%"])] == ["80"]


def test_a_deployment_is_shared() -> None:
    for private in (False, True):
        (found,) = services(
            80, private=private, deployment="my-dep", project="5FWJ8QsGshcANQNQR9WMpZBmpjkDvgBrT97tKtCooxvE"
        )
        assert found.group_key == VECTORS["deployment"]["vectors"][0]["deploymentHash"]
        assert found.deployment == deployment_endpoint(found.group_key, "b")
        assert found.group_key not in repr(found)
    assert services(80, deployment="my-dep")[0].deployment == ""


def test_health_checks() -> None:
    checks = [
        {"type": "http", "path": "/h", "method": "POST", "expected_status": 201, "continuous": True,
         "headers": {"A": "b"}, "body": {"x": 1}, "restart_on_failure": True},
        {"type": "websocket", "expected_response": "hi", "continuous": False},
        {"type": "other"},
        None,
    ]  # fmt: skip
    (port,) = exposed([{"port": 80, "type": "web", "health_checks": checks}])
    assert port.health_checks == (
        HealthCheck(HealthCheckKind.HTTP, True, True, "/h", "POST", (("A", "b"),), {"x": 1}, 201),
        HealthCheck(HealthCheckKind.WEBSOCKET, False, expected_response="hi"),
    )
