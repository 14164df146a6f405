"""What a work proof is made for: a block nobody knew before, a node's key, a GPU, a purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node.base58 import b58decode
from node.errors import GpuError

LEAST_SIZE = 256
MOST_SIZE = 32_768
"""Rows of the matrices. Up to here a sum of int8 products fits into int32 with room to spare, and the verifier's sums
are exact in 64-bit floats."""
MOST_ROUNDS = 65_536
OPENINGS = 1024
"""Stretches that are opened by default. A prover that left out the share f of its work passes with (1-f)^1024: 1 % is
missed once in 29,000 proofs."""
MOST_OPENINGS = 4096
MOST_TEXT = 64
"""Characters of a GPU's UUID, or of a purpose."""


@dataclass(frozen=True, slots=True)
class WorkChallenge:
    """All that the seed is made of. Two challenges that differ anywhere have matrices with nothing in common."""

    blockhash: str
    """Base58; the newest one known when the work begins."""
    slot: int
    """Of the block with that hash."""
    node: str
    """The node's key, base58."""
    gpu: str
    """UUID of the GPU as its provider states it; `cpu` where none is used."""
    purpose: str = "idle"

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "blockhash": self.blockhash,
            "gpu": self.gpu,
            "node": self.node,
            "purpose": self.purpose,
            "slot": self.slot,
        }

    def encoded(self) -> bytes:
        """The bytes that are hashed: fixed lengths, or a length in front. Raises GpuError for what has no such form."""
        return b"".join(
            (
                key_bytes(self.blockhash, "blockhash"),
                number(self.slot, 8, "slot"),
                key_bytes(self.node, "node"),
                _text(self.gpu, "gpu"),
                _text(self.purpose, "purpose"),
            )
        )


def parse_challenge(document: Mapping[str, Any]) -> WorkChallenge:
    """The challenge that `document` wrote. Raises GpuError."""
    texts = {name: document.get(name) for name in ("blockhash", "node", "gpu", "purpose")}
    slot = document.get("slot")
    if set(document) != {*texts, "slot"} or type(slot) is not int:
        raise GpuError("a work challenge has blockhash, slot, node, gpu and purpose, and nothing else")
    challenge = WorkChallenge(slot=slot, **{name: str(value) for name, value in texts.items()})
    if any(not isinstance(value, str) for value in texts.values()):
        raise GpuError("a work challenge's blockhash, node, gpu and purpose are texts")
    challenge.encoded()
    return challenge


def check_shape(size: int, rounds: int, openings: int) -> None:
    """Raises GpuError unless proofs of this shape are made: `size` a power of two, all within bounds."""
    if not LEAST_SIZE <= size <= MOST_SIZE or size & (size - 1):
        raise GpuError(f"the size of a work proof is a power of two from {LEAST_SIZE} to {MOST_SIZE}, not {size}")
    if not 1 <= rounds <= MOST_ROUNDS:
        raise GpuError(f"a work proof has 1 to {MOST_ROUNDS} rounds, not {rounds}")
    if not 1 <= openings <= MOST_OPENINGS:
        raise GpuError(f"a work proof opens 1 to {MOST_OPENINGS} stretches, not {openings}")


def operations(size: int, rounds: int) -> int:
    """Multiplications and additions in the products of a proof, as the schoolbook counts them."""
    return 2 * size**3 * rounds


def number(value: int, width: int, what: str) -> bytes:
    """An unsigned big-endian number of `width` bytes. Raises GpuError."""
    if not 0 <= value < 1 << 8 * width:
        raise GpuError(f"the {what} of a work proof is out of range: {value}")
    return value.to_bytes(width, "big")


def key_bytes(text: str, what: str) -> bytes:
    """The 32 bytes of a base58 text. Raises GpuError."""
    try:
        # Longer texts are not decoded: that takes time that grows with the square.
        raw = b58decode(text) if len(text) <= 44 else b""
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise GpuError(f"the {what} of a work challenge is no base58 text of 32 bytes")
    return raw


def _text(text: str, what: str) -> bytes:
    if not 1 <= len(text) <= MOST_TEXT or not (text.isascii() and text.isprintable()):
        raise GpuError(f"the {what} of a work challenge has 1 to {MOST_TEXT} printable ASCII characters")
    return bytes([len(text)]) + text.encode("ascii")
