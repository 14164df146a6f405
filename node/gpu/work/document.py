"""The proof document: one canonical JSON text (sorted keys, no blanks, ASCII, whole numbers only).

    _type      urn:gpunode:work:1
    challenge  blockhash and slot that the work began with, node, gpu (UUID), purpose
    seed       hex; follows from the challenge
    size       rows of the matrices, a power of two
    roots      base64; the rounds' roots, 32 bytes each
    state      hex; follows from seed, size and roots
    stated     what the prover says beside it: engine, device, milliseconds, millijoules (null: not metered)
    openings   how many stretches are opened
    root       hex; follows from state, shape and `stated`. This is what the memo anchors
    after      slot and blockhash of the first block after the anchor's; with the root it picks what is opened
    opened     base64; for each opening in order 256 entries of a row of C (little-endian int32), then the nodes
               beside its path to the round's root, lowest first

Every byte is either bound by the root or follows from something that is; so there is one text for one proof.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node.bounded_json import JsonRefused, read_json
from node.errors import GpuError
from node.gpu.work.challenge import (
    MOST_OPENINGS,
    MOST_ROUNDS,
    MOST_SIZE,
    WorkChallenge,
    check_shape,
    operations,
    parse_challenge,
)
from node.gpu.work.hashes import HASH_BYTES, STRETCH_BYTES, depth

DOCUMENT_TYPE = "urn:gpunode:work:1"
MOST_BYTES = (
    4 * (MOST_OPENINGS * (STRETCH_BYTES + HASH_BYTES * depth(MOST_SIZE)) + MOST_ROUNDS * HASH_BYTES) // 3 + 8192
)
"""Bytes of a document that is read; one of the default shape has some 2.2 MB."""
_MOST_NAME = 200


@dataclass(frozen=True, slots=True)
class Stated:
    """What the prover says of the work; nothing shows that it is so, but it cannot be changed after the anchor."""

    engine: str
    device: str
    milliseconds: int
    millijoules: int | None

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "device": self.device[:_MOST_NAME],
            "engine": self.engine[:_MOST_NAME],
            "millijoules": self.millijoules,
            "milliseconds": self.milliseconds,
        }


@dataclass(frozen=True, slots=True)
class WorkProof:
    """An opened proof. Hashes are 32 bytes each."""

    challenge: WorkChallenge
    seed: bytes
    size: int
    roots: tuple[bytes, ...]
    state: bytes
    stated: Stated
    root: bytes
    after_slot: int
    after_blockhash: str
    openings: int
    opened: bytes

    @property
    def rounds(self) -> int:
        """How many rounds were made."""
        return len(self.roots)

    @property
    def operations(self) -> int:
        """Multiplications and additions it stands for."""
        return operations(self.size, self.rounds)

    def body(self) -> bytes:
        """The document."""
        return _canonical(
            {
                "_type": DOCUMENT_TYPE,
                "after": {"blockhash": self.after_blockhash, "slot": self.after_slot},
                "challenge": self.challenge.document(),
                "opened": base64.b64encode(self.opened).decode(),
                "openings": self.openings,
                "root": self.root.hex(),
                "roots": base64.b64encode(b"".join(self.roots)).decode(),
                "seed": self.seed.hex(),
                "size": self.size,
                "state": self.state.hex(),
                "stated": self.stated.document(),
            }
        )


def parse_proof(body: bytes) -> WorkProof:
    """The proof in a document, its form checked and nothing else. Raises GpuError that says what is wrong."""
    try:
        document = read_json(body, limit=MOST_BYTES)
    except JsonRefused as error:
        raise GpuError(f"the work proof is no JSON: {error}") from None
    if not isinstance(document, dict) or document.get("_type") != DOCUMENT_TYPE:
        raise GpuError("the document is no work proof of a known version")
    after, stated, challenge = (_object(document, name) for name in ("after", "stated", "challenge"))
    roots = _base64(document, "roots")
    rounds, torn = divmod(len(roots), HASH_BYTES)
    proof = WorkProof(
        challenge=parse_challenge(challenge),
        seed=_hash(document, "seed"),
        size=_whole(document, "size"),
        roots=tuple(roots[at : at + HASH_BYTES] for at in range(0, rounds * HASH_BYTES, HASH_BYTES)),
        state=_hash(document, "state"),
        stated=Stated(
            engine=_text(stated, "engine"),
            device=_text(stated, "device"),
            milliseconds=_whole(stated, "milliseconds"),
            millijoules=None if stated.get("millijoules") is None else _whole(stated, "millijoules"),
        ),
        root=_hash(document, "root"),
        after_slot=_whole(after, "slot"),
        after_blockhash=_text(after, "blockhash"),
        openings=_whole(document, "openings"),
        opened=_base64(document, "opened"),
    )
    check_shape(proof.size, proof.rounds, proof.openings)
    if torn or len(proof.opened) != proof.openings * opening_bytes(proof.size):
        raise GpuError("the work proof's roots or openings have a wrong length")
    if proof.body() != body:
        raise GpuError("the work proof is not in its canonical encoding, or has fields of no meaning")
    return proof


def opening_bytes(size: int) -> int:
    """Bytes of one opening."""
    return STRETCH_BYTES + HASH_BYTES * depth(size)


def _canonical(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode()


def _object(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    if not isinstance(value, dict):
        raise GpuError(f"the work proof's {name} is no object")
    return value


def _whole(document: Mapping[str, Any], name: str) -> int:
    value = document.get(name)
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise GpuError(f"the work proof's {name} is no whole number")
    return value


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or len(value) > _MOST_NAME:
        raise GpuError(f"the work proof's {name} is no text")
    return value


def _hash(document: Mapping[str, Any], name: str) -> bytes:
    value = document.get(name)
    try:
        raw = bytes.fromhex(value) if isinstance(value, str) and len(value) == 2 * HASH_BYTES else b""
    except ValueError:
        raw = b""
    if len(raw) != HASH_BYTES:
        raise GpuError(f"the work proof's {name} is no hash in hex")
    return raw


def _base64(document: Mapping[str, Any], name: str) -> bytes:
    value = document.get(name)
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        raise GpuError(f"the work proof's {name} is not base64") from None
