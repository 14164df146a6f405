"""Every hash of a work proof: SHA-256 over four bytes that name its kind, then fields of fixed length.

Numbers are big-endian, 32 bits unless said otherwise. Entries of C are little-endian int32. The tree of a round is one
perfect binary tree; its leaves are the stretches (256 entries) of the rows of C, row after row, so that each row is the
root of a subtree of its own and can be opened where it is looked at, without carrying all of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from node.gpu.work.challenge import WorkChallenge, key_bytes, number

STRETCH = 256
"""Entries of a row that make one leaf: 1 KiB."""
STRETCH_BYTES = 4 * STRETCH
HASH_BYTES = 32


def seed_of(challenge: WorkChallenge) -> bytes:
    """What everything else follows from: SHA-256 of `gwS1` and the challenge's bytes."""
    return _hash(b"gwS1", challenge.encoded())


def key_b(seed: bytes, size: int) -> bytes:
    """Key of the keystream that is B."""
    return _hash(b"gwB1", seed, number(size, 4, "size"))


def first_state(seed: bytes, size: int) -> bytes:
    """The state before the first round."""
    return _hash(b"gwI1", seed, number(size, 4, "size"))


def key_a(state: bytes, round_: int) -> bytes:
    """Key of the keystream that is round `round_`'s A (1 is the first), from the state before it."""
    return _hash(b"gwA1", state, number(round_, 4, "round"))


def next_state(state: bytes, round_: int, root: bytes) -> bytes:
    """The state after a round with this root."""
    return _hash(b"gwC1", state, number(round_, 4, "round"), root)


def leaf(round_: int, row: int, stretch: int, entries: bytes) -> bytes:
    """Hash of one stretch of a row of C."""
    head = b"gwL1" + round_.to_bytes(4, "big") + row.to_bytes(4, "big") + stretch.to_bytes(4, "big")
    return hashlib.sha256(head + entries).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Hash of two subtrees."""
    return hashlib.sha256(b"gwN1" + left + right).digest()


def layer_above(layer: Sequence[bytes]) -> list[bytes]:
    """The next layer of a tree whose layers all have an even number of nodes."""
    return [node(left, right) for left, right in zip(layer[::2], layer[1::2], strict=True)]


def root_above(layer: Sequence[bytes]) -> bytes:
    """The root over a layer; its length is a power of two."""
    while len(layer) > 1:
        layer = layer_above(layer)
    return layer[0]


def final_root(state: bytes, rounds: int, size: int, openings: int, stated: Mapping[str, Any]) -> bytes:
    """What is anchored on the chain: the last state, the proof's shape, and what the prover states beside it.

    The number of openings is in it because which stretches are opened depends on it, and nothing that does may be
    chosen after the anchor.
    """
    said = json.dumps(stated, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode()
    shape = number(rounds, 4, "rounds") + number(size, 4, "size") + number(openings, 4, "openings")
    return _hash(b"gwF1", state, shape, _hash(b"gwD1", said))


def opening_key(root: bytes, slot: int, blockhash: str) -> bytes:
    """Key of the keystream that picks what is opened: from the root and the first block after its anchor."""
    return _hash(b"gwO1", root, number(slot, 8, "slot"), key_bytes(blockhash, "blockhash"))


def depth(size: int) -> int:
    """Nodes of a path from a stretch to its round's root."""
    return (size * (size // STRETCH)).bit_length() - 1


def _hash(kind: bytes, *parts: bytes) -> bytes:
    return hashlib.sha256(kind + b"".join(parts)).digest()
