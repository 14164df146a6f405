"""The published schema says what the model says, describes every field, and holds for real receipts."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from node.proof import receipt_model
from node.proof.commitments import conceal
from node.proof.receipt import Receipt, hidden_of, verify_receipt
from node.proof.receipt_schema import FILE, published_schema, receipt_schema, schema_text
from node.records import GpuTelemetry
from tests.proof.test_receipt import JSON, NODE, OUTCOME, PREVIOUS, TELEMETRY, WORK, receipt

SCHEMA = published_schema()
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)


def statement(envelope: bytes) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
    return payload


assert OUTCOME.energy is not None
MEASURED = replace(OUTCOME, energy=replace(OUTCOME.energy, gpus=(TELEMETRY,)))
FULL = statement(receipt(outcome=MEASURED, work=WORK, ladder="33" * 32))
BARE = statement(
    receipt(
        outcome=replace(OUTCOME, operations=(), energy=None, end_slot=None),
        gpus=(),
        previous=None,
        previous_reason="lost",
        seen=PREVIOUS,
    )
)
PRIVATE = statement(receipt(outcome=OUTCOME, reveal=conceal(hidden_of(OUTCOME, "Qm"))))


def test_the_file_is_made_from_the_model() -> None:
    """`python -m node.proof.receipt_schema > node/proof/schemas/receipt-1.json` makes it anew."""
    assert receipt_schema() == SCHEMA
    assert json.loads(schema_text()) == SCHEMA
    assert FILE.rpartition("-")[2] == f"{receipt_model.PREDICATE_TYPE.rpartition(':')[2]}.json"


def test_it_is_a_schema() -> None:
    jsonschema_rs.meta.validate(SCHEMA)


@pytest.mark.parametrize("document", [FULL, BARE, PRIVATE])
def test_receipts_keep_to_it(document: dict[str, Any]) -> None:
    VALIDATOR.validate(document)


def test_every_key_of_a_receipt_is_described() -> None:
    """What the node writes and the schema does not know would be told to nobody."""
    for document in (FULL, BARE, PRIVATE):
        for part, keys in parts(document["predicate"], "Receipt"):
            assert keys == set(SCHEMA["$defs"][part]["properties"]), part
    for name, part in SCHEMA["$defs"].items():
        assert len(part["description"]) > 10, name
        for key, field in part["properties"].items():
            assert len(field["description"]) > 3, (name, key)


def parts(value: Any, name: str) -> Iterator[tuple[str, set[str]]]:
    """Each object of a predicate with the name of its part of the schema, and its keys."""
    yield name, set(value)
    for key, field in SCHEMA["$defs"][name]["properties"].items():
        inner = value.get(key)
        found = [each["$ref"] for each in (field, *field.get("anyOf", ()), field.get("items", {})) if "$ref" in each]
        for ref in found:
            for each in inner if isinstance(inner, list) else [inner] * (inner is not None):
                yield from parts(each, ref.rpartition("/")[2])


def test_every_model_is_reached() -> None:
    models = {
        name for name, each in vars(receipt_model).items() if isinstance(each, type) and issubclass(each, BaseModel)
    }
    assert models - {"BaseModel", "_Part"} == set(SCHEMA["$defs"])


@given(st.sampled_from(sorted(FULL["predicate"])), JSON)
@settings(max_examples=200)
def test_schema_and_reader_agree(key: str, value: Any) -> None:
    """Whatever stands in a place: both take it, or neither does."""
    document = {**FULL, "predicate": {**FULL["predicate"], key: value}}
    try:
        Receipt.model_validate(document["predicate"])
    except ValidationError:
        assert not VALIDATOR.is_valid(document)
    else:
        assert VALIDATOR.is_valid(document)


amounts = st.none() | st.floats()
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
telemetry = st.builds(
    GpuTelemetry,
    uuid=texts,
    samples=st.integers(0, 1 << 40),
    seconds=st.floats(),
    joules=amounts,
    source=texts,
    utilisation_mean=amounts,
    memory_most=st.none() | st.integers(0, 1 << 50),
    power_most=amounts,
    temperature_most=st.none() | st.integers(-100, 200),
    throttled=st.lists(st.tuples(texts, st.floats()), max_size=3).map(tuple),
    errors=st.lists(texts, max_size=3).map(tuple),
)


@given(st.lists(telemetry, max_size=3), amounts)
def test_whatever_is_measured_makes_a_receipt(gpus: list[GpuTelemetry], joules: float | None) -> None:
    """A driver's nonsense must not keep a job from being settled."""
    assert OUTCOME.energy is not None
    energy = replace(OUTCOME.energy, joules=joules, gpus=tuple(gpus))
    envelope = receipt(outcome=replace(OUTCOME, energy=energy))
    VALIDATOR.validate(statement(envelope))
    read = verify_receipt(envelope, NODE).telemetry
    assert read is not None
    assert [each.uuid for each in read.gpus] == [each.uuid for each in gpus]


@pytest.mark.parametrize("key", sorted(FULL["predicate"]))
def test_what_is_missing_is_missed_by_both(key: str) -> None:
    predicate = {name: value for name, value in FULL["predicate"].items() if name != key}
    try:
        Receipt.model_validate(predicate)
        taken = True
    except ValidationError:
        taken = False
    assert VALIDATOR.is_valid({**FULL, "predicate": predicate}) is taken
    assert taken is (key in {"telemetry", "work", "ladder", "commitments", "prevSeen"})


@pytest.mark.parametrize(
    "change",
    [
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"predicateType": "urn:gpunode:receipt:2"},
        {"subject": []},
        {"subject": FULL["subject"] * 2},
        {"more": 1},
    ],
)
def test_other_statements_are_none(change: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid({**FULL, **change})


def test_later_keys_are_passed_over() -> None:
    assert VALIDATOR.is_valid({**FULL, "predicate": {**FULL["predicate"], "later": 1}})
