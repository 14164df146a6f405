"""The embedded chain answers what a real node answers: recorded answers always, the node itself where it can run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from node.localnet.rpc.signatures import SIGNATURES
from tests.localnet.differential.ask_cluster import cluster_requests
from tests.localnet.differential.ask_shapes import shapes_requests
from tests.localnet.differential.chains import embedded, real
from tests.localnet.differential.explained import EXPLAINED, unexplained
from tests.localnet.differential.masks import difference
from tests.localnet.differential.record import read_recorded
from tests.localnet.differential.session import answers
from tests.localnet.differential.sockets import REQUESTS


def _differences(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """What differs without an explanation, for a person to read: the embedded chain first."""
    assert ours.keys() == theirs.keys(), "record anew: the requests are others"
    lines = []
    for name, answer in theirs.items():
        for path, one, other in unexplained(name, difference(ours[name], answer)):
            lines.append(f"{name}: {path}: {str(one)[:300]} instead of {str(other)[:300]}")
    return "\n".join(lines)


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_the_embedded_chain_answers_what_was_recorded_of_a_real_node(tmp_path: Path) -> None:
    async with embedded(tmp_path) as (net, slots):
        ours = await answers(net, ready=slots.stop)
    assert len(ours) > 1_000
    assert _differences(ours, read_recorded()) == ""


@pytest.mark.realchain
@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_the_embedded_chain_answers_what_a_real_node_does(tmp_path: Path, validator_binary: str) -> None:
    async with embedded(tmp_path / "embedded") as (net, slots):
        ours = await answers(net, ready=slots.stop)
    async with real(tmp_path / "real") as node:
        theirs = await answers(node)
    assert _differences(ours, theirs) == ""


def test_every_method_of_a_node_is_asked() -> None:
    asked = {name.split()[0] for name in read_recorded()} | {method for method, _ in REQUESTS.values()}
    answered = {ask.method for ask in [*cluster_requests(), *shapes_requests()]} | asked
    source = "".join(path.read_text() for path in Path(__file__).parent.glob("ask_*.py"))
    missing = [name for name in SIGNATURES if name not in answered and f'"{name}"' not in source]
    assert [name for name in missing if not name.endswith("Unsubscribe")] == []


def test_an_explanation_covers_no_more_than_it_says() -> None:
    assert len({entry.reason for entry in EXPLAINED}) == len(EXPLAINED)
    sample = [(".result.value", 1, 2)]
    assert unexplained("getBalance with {}", sample) == sample
    assert unexplained("account mint base64", [(".result.value.lamports", 1, 2)])


def test_differences_are_found_wherever_they_are() -> None:
    same = {"a": [1, {"b": None}], "c": "x"}
    assert difference(same, {"a": [1, {"b": None}], "c": "x"}) == []
    assert difference(same, {"a": [1, {"b": 0}], "c": "x"}) == [(".a[1].b", None, 0)]
    assert difference({"a": 1}, {"a": True}) == [(".a", 1, True)]
    assert difference({"a": 1}, {"a": 1.0}) == [(".a", 1, 1.0)]
    assert difference([1], [1, 2]) == [("", [1], [1, 2])]
    assert difference({}, {"a": None}) == [(".a", "<absent>", None)]
