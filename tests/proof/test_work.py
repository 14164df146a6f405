"""Checking work proofs: what holds passes, and whatever is changed is found, with the part named."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.gpu.work.document import WorkProof, opening_bytes
from node.gpu.work.hashes import STRETCH_BYTES, final_root
from node.proof.checks import Label
from node.proof.work import WorkAnchors, WorkVerdict, verify_work
from node.proof.work_products import PRIME, Opened, products_hold
from node.records import Address
from tests.gpu.work import reference
from tests.gpu.work.examples import AFTER, CHALLENGE, key, proof

ANCHORS = WorkAnchors(
    node=Address(CHALLENGE.node),
    root=proof().root.hex(),
    seed_blockhash=CHALLENGE.blockhash,
    seed_time=1_700_000_000,
    anchor_slot=1041,
    anchor_time=1_700_000_016,
    after_slot=AFTER[0],
    after_blockhash=AFTER[1],
)
OFFLINE = {"work_document", "work_challenge", "work_rounds", "work_root", "work_openings", "work_rows", "work_products"}


def check(body: bytes, anchors: WorkAnchors | None = None, **more: Any) -> WorkVerdict:
    return verify_work(body, anchors=anchors, least_openings=32, **more)


def test_a_good_proof_passes_with_and_without_the_chain() -> None:
    body = proof().body()
    verdict = check(body, ANCHORS, node=Address(CHALLENGE.node), gpu=CHALLENGE.gpu)
    assert verdict.ok
    assert verdict.rate == 3 * 2 * 256**3 / 16
    labels = {each.name: each.label for each in verdict.checks}
    assert labels["work_device"] is Label.STATED
    assert {name for name, label in labels.items() if label is Label.PROVEN} == OFFLINE | {
        "work_node", "work_gpu", "work_seed_block", "work_anchor", "work_after_block", "work_rate",
    }  # fmt: skip
    alone = check(body)
    assert alone.ok
    assert alone.rate is None
    assert {each.name for each in alone.checks if each.label is Label.PROVEN} == OFFLINE
    assert reference.check(body) is None


@pytest.mark.long
def test_every_product_of_a_good_proof_by_the_reference() -> None:
    assert reference.check(proof().body(), columns=None) is None


PARTS = {
    "_type": {"work_document"},
    "challenge": {"work_challenge", "work_document"},
    "seed": {"work_challenge"},
    "size": {"work_document", "work_rounds"},
    "roots": {"work_rounds", "work_document"},
    "state": {"work_rounds"},
    "stated": {"work_root", "work_document"},
    "openings": {"work_document", "work_root"},
    "root": {"work_root"},
    "after": {"work_rows", "work_document", "work_after_block"},
    "opened": {"work_rows", "work_document"},
}
"""Part of the document to the checks of which the first that fails must be one."""


def spans(body: bytes) -> dict[str, tuple[int, int]]:
    """Where each part's value stands in the document."""
    document = json.loads(body)
    found = {}
    for name, value in document.items():
        text = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
        start = body.index(b'"' + name.encode() + b'":' + text) + len(name) + 3
        found[name] = (start, start + len(text))
    return found


@given(name=st.sampled_from(sorted(PARTS)), where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=200, deadline=None)
def test_any_flipped_bit_is_found_and_its_part_named(name: str, where: float, bit: int) -> None:
    body = bytearray(proof().body())
    start, end = spans(bytes(body))[name]
    body[start + int(where * (end - start))] ^= 1 << bit
    verdict = check(bytes(body))
    assert not verdict.ok
    assert verdict.failed[0] in PARTS[name] | {"work_document"}, verdict.failed


@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_any_flipped_bit_anywhere_is_found(where: float, bit: int) -> None:
    body = bytearray(proof().body())
    body[int(where * len(body))] ^= 1 << bit
    assert not check(bytes(body)).ok


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_flipped_bit_of_what_is_opened_is_found(data: st.DataObject) -> None:
    """In the bytes themselves, with a document that is well-formed all the same."""
    good = proof()
    index = data.draw(st.integers(0, 8 * len(good.opened) - 1))
    opened = bytearray(good.opened)
    opened[index // 8] ^= 1 << index % 8
    verdict = check(replace(good, opened=bytes(opened)).body())
    in_entries = (index // 8) % opening_bytes(good.size) < STRETCH_BYTES
    assert verdict.failed == (("work_rows", "work_products") if in_entries else ("work_rows",))


@given(number=st.integers(0, 2), index=st.integers(0, 255))
@settings(max_examples=30, deadline=None)
def test_any_flipped_bit_of_a_root_is_found(number: int, index: int) -> None:
    good = proof()
    roots = [bytearray(root) for root in good.roots]
    roots[number][index // 8] ^= 1 << index % 8
    changed = replace(good, roots=tuple(map(bytes, roots)))
    assert check(changed.body()).failed[0] == "work_rounds"
    assert reference.check(changed.body()) == "rounds"


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"challenge": replace(CHALLENGE, slot=1001)}, "challenge"),
        ({"challenge": replace(CHALLENGE, node=key(9))}, "challenge"),
        ({"challenge": replace(CHALLENGE, gpu="GPU-other")}, "challenge"),
        ({"challenge": replace(CHALLENGE, purpose="demo")}, "challenge"),
        ({"seed": bytes(32)}, "challenge"),
        ({"state": bytes(32)}, "rounds"),
        ({"root": bytes(32)}, "root"),
        ({"after_slot": 1043}, "rows"),
        ({"after_blockhash": key(8)}, "rows"),
    ],
)
def test_both_verifiers_name_the_same_part(changes: dict[str, Any], part: str) -> None:
    body = replace(proof(), **changes).body()
    assert check(body).failed[0] == f"work_{part}"
    assert reference.check(body) == part


def test_the_prover_cannot_change_what_it_said_after_the_anchor() -> None:
    good = proof()
    for stated in (
        replace(good.stated, device="NVIDIA H100"),
        replace(good.stated, milliseconds=1),
        replace(good.stated, millijoules=5),
    ):
        assert check(replace(good, stated=stated).body()).failed == ("work_root",)


def test_another_number_of_openings_is_another_root() -> None:
    """Which stretches are opened depends on how many: it must not be chosen when they are known."""
    good = proof()
    fewer = replace(good, openings=31, opened=good.opened[: 31 * opening_bytes(256)])
    assert verify_work(fewer.body(), least_openings=1).failed[0] == "work_root"
    assert check(proof(openings=8).body()).failed == ("work_openings",)


ANCHOR_FAULTS = [
    ({"seed_blockhash": key(7)}, "work_seed_block"),
    ({"anchor_slot": 999}, "work_seed_block"),
    ({"root": bytes(32).hex()}, "work_anchor"),
    ({"node": key(7)}, "work_anchor"),
    ({"after_blockhash": key(7)}, "work_after_block"),
    ({"after_slot": 1043}, "work_after_block"),
    ({"anchor_slot": 1042}, "work_after_block"),
]


@pytest.mark.parametrize(("changes", "part"), ANCHOR_FAULTS)
def test_what_the_chain_does_not_say_is_found(changes: dict[str, Any], part: str) -> None:
    verdict = check(proof().body(), replace(ANCHORS, **changes))
    assert verdict.failed == (part,)
    assert verdict.rate is None


def test_a_short_time_gives_no_rate() -> None:
    verdict = check(proof().body(), replace(ANCHORS, anchor_time=ANCHORS.seed_time + 9))
    assert verdict.ok
    assert verdict.rate is None


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 10_000, b'{"_type":"urn:gpunode:work:1"}',
     b'{"_type":"urn:gpunode:work:2"}'],
)  # fmt: skip
def test_what_is_no_proof_is_said_to_be_none(body: bytes) -> None:
    assert check(body).failed == ("work_document",)


@pytest.mark.parametrize(
    ("name", "value"),
    [("size", 0), ("size", 300), ("size", 2**40), ("size", True), ("size", -256), ("openings", 0), ("openings", 10**9),
     ("roots", ""), ("roots", "AAAA"), ("seed", "zz"), ("after", {}), ("after", {"slot": 1}), ("stated", None),
     ("extra", 1),
     ("challenge", {"slot": 1}), ("opened", 7), ("after", {"slot": 1, "blockhash": "0OIl"})],
)  # fmt: skip
def test_nonsense_in_a_field_is_a_finding_and_no_exception(name: str, value: object) -> None:
    document = json.loads(proof().body()) | {name: value}
    body = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    assert not check(body).ok


@given(st.binary(max_size=300))
@settings(max_examples=50, deadline=None)
@example(b'{"a":1e999}')
def test_any_bytes_are_judged(body: bytes) -> None:
    assert check(body).failed == ("work_document",)


def opened(good: WorkProof) -> list[Opened]:
    from node.gpu.work.stream import picks

    step = opening_bytes(good.size)
    wanted = picks(good.root, *AFTER, size=good.size, rounds=good.rounds, openings=good.openings)
    return [Opened(*pick, good.opened[at * step : at * step + STRETCH_BYTES]) for at, pick in enumerate(wanted)]


def changed(each: Opened, entry: int, by: int) -> Opened:
    values = np.frombuffer(each.entries, dtype="<i4").astype(np.int64)
    values[entry] += by
    return replace(each, entries=values.astype("<i4").tobytes())


@given(index=st.integers(0, 31), entry=st.integers(0, 255), by=st.integers(-(2**21), 2**21).filter(bool))
@settings(max_examples=60, deadline=None)
def test_a_wrong_entry_is_found_by_the_combination(index: int, entry: int, by: int) -> None:
    items = opened(proof())
    items[index] = changed(items[index], entry, by)
    assert products_hold(proof(), items, None) is not None


def test_entries_that_differ_by_the_prime_are_found() -> None:
    """They are the same to any combination modulo the prime; their size gives them away."""
    items = opened(proof())
    values = np.frombuffer(items[0].entries, dtype="<i4")
    entry = int(np.argmin(values))
    items[0] = changed(items[0], entry, PRIME)
    assert "larger than any product" in (products_hold(proof(), items, None) or "")


def test_errors_that_cancel_are_found() -> None:
    """A plain sum of the rows would not see them."""
    items = opened(proof())
    items[0], items[1] = changed(items[0], 5, 1000), changed(items[1], 5, -1000)
    for secret in (None, bytes(32), bytes([1]) * 32):
        assert products_hold(proof(), items, secret) is not None


def test_a_check_with_a_given_secret_is_repeatable() -> None:
    body = proof().body()
    assert check(body, secret=bytes(32)) == check(body, secret=bytes(32))


def test_a_proof_that_is_made_up_of_nothing_is_found() -> None:
    """Every hash right, and products that are not: only the combination tells."""
    from tests.proof.work_cheats import Lazy, cheated

    forged = cheated(Lazy(share=1.0), rounds=2, openings=32)
    verdict = check(forged.body())
    assert verdict.failed == ("work_products",)
    assert reference.check(forged.body()) == "products"
    assert final_root(forged.state, 2, 256, 32, forged.stated.document()) == forged.root


def test_what_a_check_takes(capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, not judged: the machine has other work. At the default of 1024 openings."""
    good = proof(rounds=2, openings=1024, size=1024)
    began = time.process_time()
    assert verify_work(good.body()).ok
    with capsys.disabled():
        print(f"\n  size 1024: {1000 * (time.process_time() - began):.0f} ms of one core, {len(good.body()):,} bytes")


def test_the_parts_of_a_document_are_as_documented() -> None:
    document = json.loads(proof().body())
    assert set(document) == set(PARTS)
    assert len(base64.b64decode(document["opened"])) == 32 * opening_bytes(256)
