"""What `gpunode job plan` shows."""

import json
from pathlib import Path
from typing import Any

import pytest

from node.job.exposure import public_id
from node.job.preview import JOB, Circumstances, preview
from node.job.store import Store
from node.settings import PolicySettings

LITERALS = json.loads((Path(__file__).parent / "literals.json").read_text())
DOMAIN = "frp.example"


def shown(*ops: Any, store: Any = None, policy: PolicySettings | None = None, **top: Any) -> dict[str, Any]:
    document = {"version": "0.1", "type": "container", "ops": list(ops), **top}
    known = None if store is None else Store.from_json(store)
    return preview(json.loads(json.dumps(document)), Circumstances(domain=DOMAIN, store=known, policy=policy))


def run(name: str, execution: Any = None, results: Any = None, **args: Any) -> dict[str, Any]:
    more = {"execution": execution, "results": results}
    operation = {"type": "container/run", "id": name, "args": {"image": "img", **args}}
    return operation | {key: value for key, value in more.items() if value is not None}


@pytest.mark.parametrize("case", LITERALS["cases"], ids=lambda case: case["name"])
def test_arguments_are_those_of_the_network_s_own_code(case: dict[str, Any]) -> None:
    operation = {"type": "container/run", "id": "x", "args": case["args"]}
    (found,) = shown(operation, store=LITERALS["store"])["operations"]
    if "error" in case:
        assert found["error"] == case["error"]
    else:
        assert (found["args"], found["error"], found["unresolved"]) == (case["result"], None, [])


def test_groups_and_dependencies() -> None:
    found = shown(
        run("a", {"group": "two"}),
        run("b"),
        run("c", {"group": "two", "depends_on": ["a", "d"]}),
        run("d", {"group": "two"}),
    )
    assert found["valid"]
    assert found["groups"] == [
        {"name": "two", "operations": ["a", "c", "d"], "dependencies": {"c": ["a", "d"]}},
        {"name": "b", "operations": ["b"], "dependencies": {}},
    ]


@pytest.mark.parametrize("needs", [["a"], ["x"], ["b", "b"]])
def test_what_no_order_suits_is_one_error(needs: list[str]) -> None:
    found = shown(run("a", {"group": "g", "depends_on": needs}), run("b", {"group": "g", "depends_on": ["a"]}))
    (error,) = found["errors"]
    assert not found["valid"]
    assert error["path"] == "$input.ops"
    assert [group["operations"] for group in found["groups"]] == [["a", "b"]]


@pytest.mark.parametrize(
    ("args", "unresolved", "fails"),
    [
        ({"cmd": "%%ops.a.results.r%%"}, ["%%ops.a.results.r%%"], False),
        ({"cmd": "%%ops.a.results.other%%"}, ["%%ops.a.results.other%%"], True),
        ({"cmd": "%%ops.late.results.r%%"}, ["%%ops.late.results.r%%"], True),
        ({"cmd": "%%ops.b.results.r%%"}, ["%%ops.b.results.r%%"], True),
        ({"cmd": "%%ops.nobody.host%%"}, ["%%ops.nobody.host%%"], True),
        ({"cmd": "%%ops.a.endpoint.90%%"}, ["%%ops.a.endpoint.90%%"], True),
        ({"cmd": "%%ops.late.endpoint.90%%"}, ["%%ops.late.endpoint.90%%"], False),
        ({"cmd": "%%ops.a.deployment_endpoint%%"}, ["%%ops.a.deployment_endpoint%%"], True),
        ({"cmd": "%%global.host%%"}, ["%%global.host%%"], False),
        ({"cmd": "%%global.variables.x%%"}, ["%%global.variables.x%%"], True),
        ({"cmd": "%%ops.a.results.r%% %%ops.nobody.host%%"}, ["%%ops.a.results.r%%", "%%ops.nobody.host%%"], True),
    ],
)
def test_literals_that_are_unknown_yet_and_that_stay_so(args: Any, unresolved: list[str], fails: bool) -> None:
    found = shown(
        run("a", results={"r": "."}, expose=80),
        run("b", results={"r": "."}, **args),
        run("late", results={"r": "."}, expose=["%%ops.b.results.r%%"]),
    )["operations"][1]
    assert (found["unresolved"], found["error"] is not None) == (unresolved, fails)
    assert found["args"]["cmd"] == args["cmd"]


def test_what_is_known_is_filled_in_beside_what_is_not() -> None:
    found = shown(
        run("a", results={"r": "."}),
        run("b", env={"A": "%%ops.a.host%%/%%ops.a.results.r%%", "J": "%%global.job%%"}),
    )["operations"][1]
    assert found["args"]["env"] == {"A": f"{JOB}-0/%%ops.a.results.r%%", "J": JOB}
    assert found["error"] is None


def test_the_store_wins() -> None:
    store = {
        "globalOpStore": {"a": {"host": "elsewhere", "results": {"r": ["90"]}}},
        "globalStore": {"job": "OtherJob", "frps_address": "other.example", "project": "P"},
    }
    late = run("b", cmd="%%ops.a.host%% %%ops.a.results.r%% %%global.job%%", expose=["%%ops.a.results.r%%"])
    found = shown(run("a", results={"r": "."}, expose=80), late, store=store, deployment_id="d")
    assert found["operations"][1]["args"]["cmd"] == "elsewhere 90 OtherJob"
    assert [(each["op_id"], each["port"], each["url"]) for each in found["services"]] == [
        ("a", 80, f"https://{public_id(0, '80', 'OtherJob')}.other.example"),
        ("b", "90", f"https://{public_id(1, '90', 'OtherJob')}.other.example"),
    ]


def test_services() -> None:
    checks = [{"type": "http", "path": "/", "method": "GET", "expected_status": 200, "continuous": False}]
    found = shown(
        run("a", expose=["%%global.variables.p%%", {"port": 81, "health_checks": checks}]),
        run("b", expose=[80, 81], private=True),
        **{"global": {"variables": {"p": "8080"}}},
    )["services"]
    literal, checked, *private = found
    assert literal["port"] == "%%global.variables.p%%"
    assert literal["service_id"] == public_id(0, "%%global.variables.p%%", JOB)
    assert literal["also"] == [public_id(0, "8080", JOB)]
    assert checked == {
        "op_index": 0,
        "op_id": "a",
        "port": 81,
        "service_id": public_id(0, "81", JOB),
        "url": f"https://{public_id(0, '81', JOB)}.{DOMAIN}",
        "private": False,
        "health_check": True,
        "also": [],
    }
    assert [(each["port"], each["private"], len(each["service_id"])) for each in private] == [
        (80, True, 45), (81, True, 45),
    ]  # fmt: skip


def test_resources_without_logins() -> None:
    iam = {"REGION": "eu", "ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "hidden"}
    (found,) = shown(run("a", resources=[{"type": "S3", "url": "s3://b", "target": "/t", "IAM": iam}]))["resources"]
    assert (found["op_index"], found["op_id"], found["type"], found["target"], found["login"]) == (
        0, "a", "S3", "/t", True,
    )  # fmt: skip
    assert "hidden" not in json.dumps(found)


def test_policy() -> None:
    policy = PolicySettings(deny_images=("bad",), deny_posters=("5FWJ8QsGshcANQNQR9WMpZBmpjkDvgBrT97tKtCooxvE",))
    assert shown(run("a"), policy=policy)["refused"] is None
    assert "bad is denied" in shown(run("a"), run("b", image="bad"), policy=policy)["refused"]
    store = {"globalStore": {"project": policy.deny_posters[0]}}
    assert "poster" in shown(run("a"), policy=policy, store=store)["refused"]
    assert shown(run("a", image="bad"))["refused"] is None


@pytest.mark.parametrize(
    "document",
    [
        None, [], 5, "x", {}, {"ops": 5}, {"ops": [None, 1, [], {}]}, {"ops": [{"id": "a"}, {"id": "a"}]},
        {"ops": [{"id": 5, "type": "container/run", "args": {"expose": {"port": []}}}]},
        {"ops": [{"id": "a", "type": "container/run", "args": [], "execution": 1, "results": 1}]},
        {"ops": [{"id": "a", "type": "container/create-volume", "args": {"name": {"x": "%%ops.a.host%%"}}}]},
        {"ops": [{"id": "a", "type": "container/run", "args": {"image": 1, "env": 1, "cmd": {}, "resources": [1]}}],
         "global": {"env": 1, "variables": 1, "image": []}, "deployment_id": 1},
        {"ops": [{"id": "a", "type": "container/run", "args": {"env": {"N": 5}}, "execution": {"group": 1}}]},
    ],
)  # fmt: skip
def test_invalid_definitions_are_shown_as_far_as_they_go(document: Any) -> None:
    found = preview(document, Circumstances(policy=PolicySettings()))
    assert not found["valid"]
    assert found["errors"]
    json.dumps(found)


def test_what_is_admitted_may_be_valid_by_the_older_rules_alone() -> None:
    found = shown(run("a", expose="8000-8005"))
    assert (found["valid"], found["admitted"]) == (False, True)
    assert [service["port"] for service in found["services"]] == ["8000-8005"]
    assert shown(run("a"))["admitted"]
    assert not shown(run("a", {"depends_on": ["a"]}))["admitted"]
    assert not shown(run("a", expose="x"))["admitted"]
    assert not shown(run("a"), policy=PolicySettings(deny_images=("img",)))["admitted"]
