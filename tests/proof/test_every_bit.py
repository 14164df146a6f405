"""Every bit of every document, one after the other: whatever is flipped is found, and the part is named.

In the short run one bit of every seventh byte of the small documents; `long` has all of them. What is large is sampled
beside (test_work.py, test_bundle.py, outside/).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from node.errors import ProofError
from node.proof.bundle import BundleRefused, parse_bundle
from node.proof.card import verify_card
from node.proof.receipt import verify_receipt
from node.proof.work import verify_work
from tests.gpu.work.examples import proof
from tests.proof.bundles import bundle
from tests.proof.outside.encoding import Wrong
from tests.proof.outside.signed import card_of, receipt_of
from tests.proof.test_receipt import NODE, RECEIPT, card
from tests.proof.test_work import ANCHORS, PARTS, spans

PROOF = proof(rounds=2, openings=1)
WORK = PROOF.body()
# Without them another block after the anchor goes unseen where it happens to open the same row: one in 256 here.
MOMENTS = replace(ANCHORS, root=PROOF.root.hex())


def flips(body: bytes, every: int) -> Iterator[tuple[int, bytes]]:
    """Each with one bit flipped, and where: all bits of all bytes, or of some bytes one that differs from the next."""
    for at in range(0, len(body), 1 if every else 7):
        for bit in range(8) if every else (5 * at % 8,):
            yield at, body[:at] + bytes([body[at] ^ 1 << bit]) + body[at + 1 :]


def short_and_long(test: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.parametrize("every", [0, pytest.param(1, marks=pytest.mark.long)])(test)


SIGNED = {
    "receipt": (RECEIPT, lambda raw: verify_receipt(raw, NODE), lambda raw: receipt_of(raw, NODE)),
    "card": (card(), lambda raw: verify_card(raw, NODE), lambda raw: card_of(raw, NODE)),
}
REASONS = {
    "payload": ("does not match the statement", "is not base64"),
    "sig": ("signature", "is not base64"),
    "keyid": ("signed by",),
    "": ("envelope", "JSON"),
}
"""Member of an envelope to what is said of a flipped bit in it; each may also end the JSON."""


def members(raw: bytes) -> dict[str, range]:
    """Where the members' values stand in an envelope."""
    envelope = json.loads(raw)
    texts = {"payload": envelope["payload"], **envelope["signatures"][0]}
    return {name: range(start := raw.index(text.encode()), start + len(text)) for name, text in texts.items()}


@short_and_long
@pytest.mark.parametrize("kind", SIGNED)
def test_every_bit_of_a_signed_document(kind: str, every: int) -> None:
    raw, ours, theirs = SIGNED[kind]
    places = members(raw)
    for at, changed in flips(raw, every):
        with pytest.raises(ProofError) as refused:
            ours(changed)
        with pytest.raises(Wrong):
            theirs(changed)
        part = next((name for name, place in places.items() if at in place), "")
        assert any(reason in refused.value.message for reason in (*REASONS[part], "JSON")), (at, refused.value.message)


@short_and_long
def test_every_bit_of_a_work_proof(every: int) -> None:
    places = spans(WORK)
    for at, changed in flips(WORK, every):
        verdict = verify_work(changed, anchors=MOMENTS, least_openings=1, secret=bytes(32))
        part = next((name for name, (start, end) in places.items() if start <= at < end), "_type")
        assert verdict.failed, at
        assert verdict.failed[0] in PARTS[part] | {"work_document"}, (at, part, verdict.failed)


@short_and_long
def test_every_bit_of_a_bundle(every: int) -> None:
    body = bundle()
    parse_bundle(body)
    for _, changed in flips(body, every):
        with pytest.raises(BundleRefused) as refused:
            parse_bundle(changed)
        assert refused.value.part
