"""The official validator and ours give the same verdict."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.errors import DefinitionInvalid
from node.job.definition import parse_definition
from node.localnet import recipes
from tests.interop.client import Client

pytestmark = [pytest.mark.interop]

Change = Callable[[dict[str, Any]], object]
CHANGES: dict[str, tuple[Change, bool]] = {
    "as it is": (lambda d: None, True),
    "no operations": (lambda d: d["ops"].clear(), True),
    "an unknown key": (lambda d: d.update(priority=1), False),
    "another version": (lambda d: d.update(version="0.2"), False),
    "no image": (lambda d: d["ops"][0]["args"].pop("image"), False),
    "a space in an operation's id": (lambda d: d["ops"][0].update(id="spam or not"), False),
    "gpu as a word": (lambda d: d["ops"][0]["args"].update(gpu="yes"), False),
    "the same id twice": (lambda d: d["ops"].append(copy.deepcopy(d["ops"][0])), False),
    "a number among the environment": (lambda d: d["ops"][0]["args"].update(env={"A": 1}), False),
    "a port": (lambda d: d["ops"][0]["args"].update(expose=8080), True),
    "a range of ports": (lambda d: d["ops"][0]["args"].update(expose="8000-8005"), False),
    "the same port twice": (lambda d: d["ops"][0]["args"].update(expose=[80, {"port": 80}]), False),
    "one half of logistics": (lambda d: d.update(logistics={"send": {"type": "api", "args": {}}}), False),
    "null for a key": (lambda d: d["ops"][0]["args"].update(work_dir=None), False),
    "an operation that stops with nothing": (
        lambda d: d["ops"][0].update(execution={"stop_if_dependent_stops": True}),
        False,
    ),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_verdicts_agree(change: str, clients: Path) -> None:
    apply, valid = CHANGES[change]
    definition = recipes.definition("spam")
    apply(definition)
    async with Client.start("kit", clients) as kit:
        official = await kit.call("validate", definition=definition)
    assert official["success"] is valid
    body = json.dumps(definition).encode()
    if valid:
        parse_definition(body)
    else:
        with pytest.raises(DefinitionInvalid):
            parse_definition(body)


@pytest.mark.parametrize("name", recipes.names())
async def test_the_built_in_jobs_are_valid_there(name: str, clients: Path) -> None:
    async with Client.start("kit", clients) as kit:
        official = await kit.call("validate", definition=recipes.definition(name))
    assert official["success"] is True, official
