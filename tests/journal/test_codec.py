"""Records survive the way into the journal and back; what is not understood is refused."""

from __future__ import annotations

import json
import types
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.errors import JournalError
from node.journal.codec import KNOWN, decode, decode_any, encode
from node.records import Outcome, Refusal, Settlement
from tests.journal.samples import address, assignment

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def strategy(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type as records use it."""
    kind = getattr(kind, "__supertype__", kind)
    if kind is Any:
        return json_values
    if get_origin(kind) in (Union, types.UnionType):
        inner = [part for part in get_args(kind) if part is not types.NoneType]
        return st.none() | strategy(inner[0])
    if get_origin(kind) is tuple:
        args = get_args(kind)
        if args[-1] is Ellipsis:
            return st.lists(strategy(args[0]), max_size=3).map(tuple)
        return st.tuples(*(strategy(part) for part in args))
    if get_origin(kind) is dict:
        return st.dictionaries(st.text(), strategy(get_args(kind)[1]), max_size=3)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return st.builds(kind, **{field.name: strategy(hints[field.name]) for field in fields(kind)})
    if issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    scalars: dict[type, st.SearchStrategy[Any]] = {
        str: st.text(),
        int: st.integers(),
        bool: st.booleans(),
        bytes: st.binary(),
        float: st.floats(allow_nan=False, allow_infinity=False),
    }
    return scalars[kind]


@pytest.mark.parametrize("kind", KNOWN.values(), ids=list(KNOWN))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_round_trip(kind: type, data: st.DataObject) -> None:
    record = data.draw(strategy(kind))
    text = encode(record)
    again = decode(text, kind)
    assert again == record
    assert encode(again) == text


def test_the_text_is_canonical() -> None:
    text = encode(Refusal(job=address(1), reason="no"))
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda e: e.update(version=2), "version 2"),
        (lambda e: e.update(record="Elephant"), "'Elephant'"),
        (lambda e: e.update(extra=1), "envelope"),
        (lambda e: e["value"].update(tusks=2), "'tusks'"),
        (lambda e: e["value"].pop("kind"), "'kind' is missing"),
        (lambda e: e["value"].update(pay="12"), "Settlement.pay"),
        (lambda e: e["value"].update(pay=True), "Settlement.pay"),
        (lambda e: e["value"].update(pay=1.5), "Settlement.pay"),
        (lambda e: e["value"].update(kind="stolen"), "Settlement.kind"),
        (lambda e: e["value"].update(signature=5), "Settlement.signature"),
    ],
)
def test_what_is_not_understood_is_refused(change: Any, said: str) -> None:
    envelope = json.loads(
        '{"record":"Settlement","version":1,"value":{"job":"j","kind":"finish","signature":null,"slot":3,"pay":12,'
        '"payout":null,"reason":"","fee":5000}}'
    )
    assert decode(json.dumps(envelope), Settlement).pay == 12
    change(envelope)
    with pytest.raises(JournalError) as raised:
        decode(json.dumps(envelope), Settlement)
    assert said in raised.value.message
    assert raised.value.hint


def test_a_record_may_have_gained_fields_since_it_was_written() -> None:
    envelope = json.loads(encode(Refusal(job=address(1), reason="no")))
    text = json.dumps(
        {
            **envelope,
            "record": "Outcome",
            "value": {"job": "j", "cause": "completed", "started_ms": 1, "ended_ms": 2, "operations": []},
        }
    )
    assert decode(text, Outcome).energy is None


def test_an_energy_reading_from_before_telemetry_is_read() -> None:
    energy = {"joules": 1.5, "source": "counter", "utilisation_mean": 0.5, "samples": 2, "samples_root": "ab"}
    value = {"job": "j", "cause": "completed", "started_ms": 1, "ended_ms": 2, "operations": [], "energy": energy}
    read = decode(json.dumps({"record": "Outcome", "version": 1, "value": value}), Outcome).energy
    assert read is not None
    assert (read.samples, read.gpus) == (2, ())


def test_another_record_than_asked_for_is_refused() -> None:
    text = encode(assignment())
    assert decode_any(text) == assignment()
    with pytest.raises(JournalError, match="Assignment where Refusal"):
        decode(text, Refusal)


@pytest.mark.parametrize("text", ["", "null", "[]", "{", '{"record":"Refusal"}'])
def test_damaged_texts_are_refused(text: str) -> None:
    with pytest.raises(JournalError):
        decode_any(text)


def test_only_known_records_are_written() -> None:
    with pytest.raises(JournalError):
        encode(object())
