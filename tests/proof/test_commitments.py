"""Salted commitments of confidential jobs: what they hide, what opens them, and that nothing else does."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.content.cid import file_cid
from node.errors import ProofError
from node.proof.commitments import Opening, Reveal, commit, conceal, opens, read_reveal
from node.proof.envelope import canonical
from node.proof.receipt import hidden_of, verify_receipt
from node.records import OperationState, OperationStatus
from tests.proof.test_receipt import NODE, OUTCOME, receipt

SALT = bytes(range(32))
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def test_a_commitment_is_the_hash_that_is_documented() -> None:
    by_hand = hashlib.sha256(b"gpunode/commitment/1\0" + b"operations.0.image\0" + SALT + b'"sha256:ab"').hexdigest()
    assert commit("operations.0.image", SALT, "sha256:ab") == by_hand


@given(NAMES, VALUES, st.binary(min_size=32, max_size=32))
def test_what_it_was_made_of_opens_it(name: str, value: Any, salt: bytes) -> None:
    assert opens(commit(name, salt, value), name, salt, value)


@given(NAMES, NAMES, VALUES, VALUES, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_nothing_else_opens_it(name: str, name2: str, value: Any, value2: Any, salt: bytes, salt2: bytes) -> None:
    same = (name, salt, canonical(value)) == (name2, salt2, canonical(value2))
    assert opens(commit(name, salt, value), name2, salt2, value2) is same


@given(st.integers(0, 255))
def test_one_flipped_bit_of_the_salt_is_seen(bit: int) -> None:
    changed = bytearray(SALT)
    changed[bit // 8] ^= 1 << bit % 8
    assert not opens(commit("n", SALT, 1), "n", bytes(changed), 1)


@pytest.mark.parametrize(
    ("name", "salt", "value"),
    [("a\0b", SALT, 1), ("a", SALT[:31], 1), ("a", SALT + b"\0", 1), ("a", SALT, 1.0), ("\ud800", SALT, 1)],
)
def test_what_cannot_be_committed_to_is_refused(name: str, salt: bytes, value: Any) -> None:
    with pytest.raises(ProofError):
        commit(name, salt, value)
    assert not opens("00" * 32, name, salt, value)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_openings_survive_their_document(values: dict[str, Any]) -> None:
    reveal = conceal(values)
    assert read_reveal(reveal.document()) == reveal
    assert reveal.wrong(reveal.commitments) == ()
    assert set(reveal.commitments) == set(values)


def test_salts_differ() -> None:
    one, other = conceal({"a": 1, "b": 1}), conceal({"a": 1, "b": 1})
    assert len({opening.salt for opening in (*one.openings, *other.openings)}) == 4


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"a": 1},
        {"a": {"salt": "00" * 32}},
        {"a": {"salt": "00" * 31, "value": 1}},
        {"a": {"salt": "0G" * 32, "value": 1}},
        {"a": {"salt": "AB" * 32, "value": 1}},
        {"a": {"salt": "00" * 32, "value": 1, "more": 2}},
        {"a": {"salt": "00" * 32, "value": 1.5}},
        {"a\0": {"salt": "00" * 32, "value": 1}},
    ],
)
def test_malformed_openings_are_refused(document: Any) -> None:
    with pytest.raises(ProofError):
        read_reveal(document)


def test_a_part_can_be_shown_alone() -> None:
    reveal = conceal({"a": 1, "b": 2, "c": 3})
    assert [opening.name for opening in reveal.only(["c", "a", "x"]).openings] == ["a", "c"]
    assert reveal.only(["b"]).wrong(reveal.commitments) == ()


def test_wrong_openings_are_named() -> None:
    reveal = conceal({"a": 1, "b": 2})
    lie = Reveal((replace(reveal.openings[0], value=7), reveal.openings[1], Opening("c", "00" * 32, None)))
    assert lie.wrong(reveal.commitments) == ("a", "c")


# --- in a receipt -------------------------------------------------------------------------------------

SENT = file_cid(b"the definition that was sent")
NEVER_RAN = OperationState(1, "secret-name", "secret-name", OperationStatus.INIT)
PRIVATE = replace(OUTCOME, operations=(*OUTCOME.operations, NEVER_RAN))


def test_a_confidential_receipt_commits_and_says_nothing() -> None:
    reveal = conceal(hidden_of(PRIVATE, SENT))
    signed = receipt(outcome=PRIVATE, reveal=reveal)
    assert receipt(outcome=PRIVATE, reveal=reveal) == signed
    fields = verify_receipt(signed, NODE)
    ran = PRIVATE.operations[0]
    assert ran.image_digest is not None
    assert ran.log is not None
    for secret in (ran.image_digest, str(ran.command_hash), ran.log.root, NEVER_RAN.id, SENT):
        assert secret not in str(fields)
    told = [(each.id, each.image, each.command, each.log, each.status) for each in fields.operations]
    assert told == [("0", None, None, None, "success"), ("1", None, None, None, "init")]
    assert fields.operations[0].exit_code == 0
    kinds = ("id", "image", "command", "log")
    assert set(fields.commitments) == {f"operations.{n}.{kind}" for n in (0, 1) for kind in kinds} | {"delivered"}
    assert fields.commitments == reveal.commitments
    assert len(set(fields.commitments.values())) == 9


def test_what_is_revealed_is_what_the_receipt_would_have_said() -> None:
    plain = verify_receipt(receipt(outcome=PRIVATE), NODE).model_dump(by_alias=True)
    reveal = conceal(hidden_of(PRIVATE, None))
    for opening in reveal.openings:
        _, index, key = opening.name.split(".")
        assert opening.value == plain["operations"][int(index)][key]
    assert "delivered" not in reveal.commitments


def test_other_salts_make_another_receipt() -> None:
    one, other = (receipt(outcome=PRIVATE, reveal=conceal(hidden_of(PRIVATE, SENT))) for _ in range(2))
    assert one != other
