"""Literals and markers against the network's own code (`literals.json` holds its answers), and hostile ones."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.errors import JobError, LiteralUnresolved
from node.job.javascript import json_text, number_text, parse, text_of
from node.job.literals import literals_in, unresolved
from node.job.markers import interpolate, interpolate_partly
from node.job.store import Store

VECTORS = json.loads(Path(__file__).with_name("literals.json").read_text())
STORE = Store.from_json(VECTORS["store"])


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_the_network_s_own_code_says_the_same(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(LiteralUnresolved) as caught:
            interpolate(case["args"], STORE)
        assert caught.value.message == case["error"]
    else:
        found = interpolate(case["args"], STORE)
        assert json.dumps(found, sort_keys=True) == json.dumps(case["result"], sort_keys=True)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        # Where the network's own code stumbles, and better is compatible.
        ('{"a": 1}', '{"a": 1}'),
        ("[1, 2]", "[1, 2]"),
        ("%%global.job%%:%%global.host%%", "JOBADDR:NODEADDR"),
        ("%%global.job%% is at %%ops.a.host%%", "JOBADDR is at flow-0"),
        ("%%global.job%% to 100%%", "JOBADDR to 100%%"),
        ("%%globals.job%%%%global.variables.foo%%", "JOBADDRbar"),
        ("100%%ops.a.host%%", "100flow-0"),
        ("%%%%ops.a.host%%%%", "%%flow-0%%"),
    ],
)
def test_texts(text: str, filled: str) -> None:
    assert interpolate({"cmd": text}, STORE) == {"cmd": filled}
    assert interpolate({"cmd": [text]}, STORE) == {"cmd": [filled]}


def test_a_store_is_the_same_when_read_again() -> None:
    assert Store.from_json(STORE.to_json()) == STORE
    made = Store().with_host("a", "h").with_endpoints("a", {"80": "x.y"}).with_results("a", {"r": ["1"]})
    assert made.to_json()["globalOpStore"] == {"a": {"host": "h", "endpoint": {"80": "x.y"}, "results": {"r": ["1"]}}}
    joined = made.under(Store.from_json({"globalOpStore": {"a": {"endpoint": {"81": "z"}, "host": "i"}}}))
    assert joined.operations["a"] == {"host": "i", "endpoint": {"80": "x.y", "81": "z"}, "results": {"r": ["1"]}}


@pytest.mark.parametrize("document", [None, [], {"globalOpStore": []}, {"globalOpStore": {"a": 1}}, {"globalStore": 1}])
def test_what_is_no_store(document: Any) -> None:
    with pytest.raises(JobError):
        Store.from_json(document)


def test_unresolved_literals_are_named_and_left() -> None:
    args = {
        "cmd": ["%%ops.a.host%%", "%%ops.b.results.x%% %%global.job%%", {"__spread__": "%%ops.b.results.y%%"}],
        "env": {"A": "%%global.nothing%%", "B": "%%ops.a.host%%"},
    }
    missing = ("%%ops.b.results.x%%", "%%ops.b.results.y%%", "%%global.nothing%%")
    assert unresolved(args, STORE) == missing
    assert interpolate_partly(args, STORE, missing) == {
        "cmd": ["flow-0", "%%ops.b.results.x%% JOBADDR", {"__spread__": "%%ops.b.results.y%%"}],
        "env": {"A": "%%global.nothing%%", "B": "flow-0"},
    }


def test_a_short_definition_cannot_become_a_long_one() -> None:
    """A value named many times, in texts and in lists: refused before it is written out."""
    store = Store(facts={"variables": {"big": "x" * 100_000, "list": f'["{"y" * 90_000}"]'}})
    for args in (
        {"cmd": "%%global.variables.big%%" * 1000},
        {"cmd": ["%%global.variables.big%%"] * 1000},
        {"cmd": ["%%global.variables.list%%"] * 1000},
        {"env": {str(n): "%%global.variables.big%%" for n in range(1000)}},
        {"cmd": ["%%global.variables%%"] * 1000},
    ):
        began = time.monotonic()
        with pytest.raises(LiteralUnresolved, match="filled in"):
            interpolate(args, store)
        assert time.monotonic() - began < 2
    assert len(interpolate({"cmd": "%%global.variables.big%%" * 20}, store)["cmd"]) == 2_000_000


@pytest.mark.parametrize("value", ["[" * 100_000, "[" * 500 + "]" * 500, "[NaN]", "[1,", "{"])
def test_a_hostile_list_is_a_text(value: str) -> None:
    assert interpolate({"cmd": ["%%global.variables.v%%"]}, Store(facts={"variables": {"v": value}})) == {
        "cmd": [value]
    }


def test_lists_in_texts_in_lists_end_somewhere() -> None:
    value = "[]"
    for _ in range(12):
        value = "[" * 50 + json.dumps(value) + "]" * 50
    with pytest.raises(LiteralUnresolved, match="levels"):
        interpolate({"cmd": ["%%global.variables.v%%"]}, Store(facts={"variables": {"v": value}}))


@pytest.mark.parametrize(
    ("number", "text"),
    [(5.0, "5"), (-0.0, "0"), (0.1, "0.1"), (1e21, "1e+21"), (123456789012345680000.0, "123456789012345680000"),
     (1e-6, "0.000001"), (1.5e-7, "1.5e-7"), (-1e300, "-1e+300"), (2**53, "9007199254740992")],
)  # fmt: skip
def test_numbers_as_javascript_writes_them(number: float, text: str) -> None:
    assert number_text(number) == text


def test_values_as_javascript_writes_them() -> None:
    assert [text_of(value) for value in (None, True, [1, None, "a"], {"a": 1})] == [
        "null", "true", "1,,a", "[object Object]",
    ]  # fmt: skip
    assert json_text({"a": [1.0, 1e-7, None, False, "é\n"]}) == '{"a":[1,1e-7,null,false,"é\\n"]}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[object Object]", '"[object Object]" is not valid JSON'),
        ("", "Unexpected end of JSON input"),
        ('{"a":', "Unexpected end of JSON input"),
        ("[1 2]", "Expected ',' or ']' after array element in JSON at position 3"),
        ('{"a":1 2}', "Expected ',' or '}' after property value in JSON at position 7"),
        ("{a", "Expected property name or '}' in JSON at position 1"),
        ('{"a"1}', "Expected ':' after property name in JSON at position 4"),
        ('"a', "Unterminated string in JSON at position 2"),
        ("1 2", "Unexpected non-whitespace character after JSON at position 2"),
        ("flow-0", "Unexpected token 'l', \"flow-0\" is not valid JSON"),
        ("v1 v2 v3 v4 v5 v6 v7 v8", "Unexpected token 'v', \"v1 v2 v3 v\"... is not valid JSON"),
    ],
)
def test_complaints_about_json(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(alphabet='ab%.[]{}", ', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "key", "value"]), inner),
    max_leaves=8,
)
TEXTS = st.lists(
    st.sampled_from(["%%ops.a.results.", "%%global.", "%%globals.", "r", "job", "variables.v", "host", "%%", ".", "0"]),
    max_size=8,
).map("".join)  # fmt: skip
ARGS = st.recursive(
    TEXTS | JSON,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["env", "cmd", "__spread__", "__pairs__", "chunked", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["image", "env", "cmd", "expose"]), ARGS), JSON, JSON)
@settings(max_examples=300)
def test_filling_in_ends_or_says_why(args: dict[str, Any], result: Any, variable: Any) -> None:
    store = Store({"a": {"results": {"r": result}, "host": "h"}}, {"job": "j", "variables": {"v": variable}})
    before = json.dumps(args)
    try:
        filled = interpolate(args, store)
    except LiteralUnresolved:
        filled = interpolate_partly(args, store, unresolved(args, store))
    else:
        json.dumps(filled)
    assert json.dumps(args) == before


@given(st.dictionaries(st.sampled_from(["image", "cmd"]), st.text(max_size=30).filter(lambda t: "%%" not in t)))
def test_texts_without_literals_stay(args: dict[str, str]) -> None:
    assert list(literals_in(args)) == []
    assert interpolate(args, STORE) == args
