"""Thousands of definitions, valid and not, judged by both official validators and by ours; and their services' ids."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import pytest_asyncio

from node.errors import DefinitionInvalid
from node.job.definition import Definition, parse_compat, parse_definition
from node.job.preview import Circumstances, preview
from tests.e2e.examples import FOLDER, NAMES
from tests.interop.client import Client

pytestmark = [pytest.mark.interop]

VERDICTS = Path(__file__).parents[1] / "job" / "verdicts.jsonl"
JOB = "7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41"
KEYS = [
    "version",
    "type",
    "ops",
    "meta",
    "global",
    "logistics",
    "deployment_id",
    "id",
    "args",
    "results",
    "execution",
    "image",
    "cmd",
    "env",
    "expose",
    "gpu",
    "volumes",
    "name",
    "dest",
    "port",
    "health_checks",
    "resources",
    "target",
    "url",
    "files",
    "bucket",
    "buckets",
    "IAM",
    "authentication",
    "docker",
    "username",
    "private",
    "aliases",
    "restart_policy",
    "policy",
    "restart_tries",
    "work_dir",
    "entrypoint",
    "group",
    "depends_on",
    "stop_if_dependent_stops",
    "regex",
    "logType",
    "__spread__",
    "chunked",
    "send",
    "receive",
    "endpoint",
    "output",
    "required_vram",
    "repo",
    "revision",
    "model",
    "allowWrite",
    "accessToken",
    "continuous",
    "method",
    "path",
    "expected_status",
    "headers",
    "body",
    "expected_response",
    "system_resources",
    "trigger",
    "variables",
    "REGION",
    "x",
    "0",
    "a-b",
    "__pairs__",
    "toString",
]
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 80, 80.5, 65536, 1e21, "", "x", "a b", "8000-8005", "8005-8000", "80-80", "80",
    "%%ops.a.results.x%%", "%%global.x%%", "%%globals.x%%", "x%%ops.a%%", "__remove-if-empty__", "0.1", "container",
    "container/run", "container/create-volume", "api", "api-listen", "http", "websocket", "GET", "S3", "HF", "Ollama",
    "web", "none", "on-failure", "always", "no", "stdout", "stderr", [], {}, [[]], [{}], ["x"], [1], [None], ["x", "x"],
    ["stdout"], ["stdout", "stdout"], [80, 80], [80, "80-90"], ["80-90", "85-95"], ["80-90", "91-95"], [{"port": 80}],
    [{"port": "80-90"}], {"port": 80}, {"__spread__": "%%ops.a.b%%"}, [{"__spread__": "%%ops.a.b%%"}],
    [{"__spread__": "%%ops.a.b%%", "chunked": True}], {"name": "v", "dest": "/v"}, [{"name": "v", "dest": "/v"}],
    [{"name": "v", "dest": "/v"}, {"name": "w", "dest": "/w"}], {"a": "b"}, {"a": 1}, {"type": "api", "args": {}},
    {"group": "g"}, {"depends_on": ["a"]}, {"policy": "on-failure"}, {"docker": {}},
    {"type": "http", "path": "/", "method": "GET", "expected_status": 200, "continuous": True},
    [{"type": "websocket", "expected_response": "x", "continuous": False}], {"type": "S3", "target": "/t", "url": "u"},
    [{"type": "S3", "target": "/t", "bucket": "b"}], [{"type": "HF", "target": "/t", "repo": "r"}],
    [{"type": "Ollama", "model": "m"}], {"regex": "x", "logType": ["stdout"]},
    {"REGION": "a", "ACCESS_KEY_ID": "b", "SECRET_ACCESS_KEY": "c"},
)  # fmt: skip
NEWER = ('"ssh"', '"timeout"', '"restart_on_failure"')
"""What these hold is judged otherwise by the official validators of these versions."""


@pytest_asyncio.fixture
async def official(clients: Path) -> AsyncIterator[Client]:
    async with Client.start("validators", clients) as client:
        yield client


class Changes:
    """Definitions made from others; the same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._known = [json.loads(line)["document"] for line in VERDICTS.read_text().splitlines()]

    def documents(self, count: int) -> list[Any]:
        made = (self._minimal() if self._random.random() < 0.4 else self._changed() for _ in range(count))
        return [document for document in made if not any(key in json.dumps(document) for key in NEWER)]

    def exposing(self, count: int) -> list[Any]:
        return [_with(expose=self._expose(), private=self._random.random() < 0.1) for _ in range(count)]

    def _minimal(self) -> Any:
        random = self._random
        document = _with(**{random.choice(KEYS): self._value() for _ in range(random.randrange(3))})
        for place in (document, document["ops"][0]):
            if random.random() < 0.3:
                place[random.choice(KEYS)] = self._value()
        return document

    def _changed(self) -> Any:
        random = self._random
        document = copy.deepcopy(random.choice(self._known))
        for _ in range(random.choice((1, 1, 2, 3))):
            places = list(_places(document))
            if not places:
                break
            parent, key = random.choice(places)
            self._change(parent, key)
        return document

    def _change(self, parent: Any, key: Any) -> None:
        random, way = self._random, self._random.random()
        found = parent[key]
        if way < 0.25:
            del parent[key]
        elif way < 0.6:
            parent[key] = self._value()
        elif isinstance(found, dict):
            found[random.choice(KEYS)] = self._value()
        elif isinstance(found, list):
            found.insert(random.randrange(len(found) + 1), self._value())

    def _value(self) -> Any:
        return copy.deepcopy(self._random.choice(VALUES))

    def _expose(self) -> Any:
        ports = (
            80, 81, 8080, "8000-8005", "%%global.variables.p%%", "%%ops.a.results.p%%", "%%globals.x%%", {"port": 82},
            {"port": 83, "health_checks": []}, {"port": "90-95", "type": "web"}, {"__spread__": "%%ops.a.results.p%%"},
        )  # fmt: skip
        chosen = self._random.sample(ports, self._random.randrange(len(ports)))
        return chosen if self._random.random() < 0.8 else self._random.choice(ports)


def _with(**args: Any) -> dict[str, Any]:
    operation = {"type": "container/run", "id": "a", "args": {"image": "x", **args}}
    return {"version": "0.1", "type": "container", "ops": [operation]}


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        found += [(value, key), *_places(value[key])]
    return found


def ours(parse: Callable[[bytes], Definition], document: Any) -> list[list[str]]:
    try:
        parse(json.dumps(document).encode())
    except DefinitionInvalid as error:
        return [[violation.path, violation.expected] for violation in error.violations]
    return []


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_both_validators_say_what_the_official_ones_say(official: Client, seed: int) -> None:
    documents = Changes(seed).documents(1200)
    valid = dict.fromkeys(("types", "sdk"), 0)
    for document, verdicts in zip(documents, await official.call("validate", documents=documents), strict=True):
        for name, parse in (("types", parse_definition), ("sdk", parse_compat)):
            said = verdicts[name]
            if isinstance(said, dict):
                assert ours(parse, document), (name, document, said)
            else:
                assert ours(parse, document) == said, (name, document)
                valid[name] += not said
    assert min(valid.values()) > 100


async def test_services_have_the_ids_that_clients_compute(official: Client) -> None:
    definitions = Changes(4).exposing(400)
    found = await official.call("services", definitions=definitions, job=JOB)
    seen = 0
    for definition, services in zip(definitions, found, strict=True):
        shown = preview(definition, Circumstances(job=JOB))["services"]
        if definition["ops"][0]["args"]["private"]:
            assert all(each["private"] and len(each["service_id"]) == 45 for each in shown)
            continue
        assert [
            (each["op_index"], each["op_id"], each["service_id"], each["port"], each["health_check"]) for each in shown
        ] == [
            (each["opIndex"], each["opId"], each["hash"], each["port"], each["hasHealthCheck"]) for each in services
        ], definition
        seen += len(shown)
    assert seen > 500


async def test_the_miniatures_are_what_people_may_post(official: Client) -> None:
    documents = [json.loads((FOLDER / f"{name}.json").read_text()) for name in NAMES]
    verdicts = await official.call("validate", documents=documents)
    by_types = {name for name, verdict in zip(NAMES, verdicts, strict=True) if verdict["types"] == []}
    assert set(NAMES) - by_types == {"range"}, "which only older packages know"
    assert verdicts[NAMES.index("range")]["sdk"] == []
