"""Whether opened entries are those of A times B: all of them by one random combination (Freivalds' idea, on rows).

An opened stretch is `c = a B'`, with `a` a row of some round's A and `B'` 256 columns of B. For random r_i, the sum of
r_i c_i must be the (sum of r_i a_i) times B'. So the rows are combined first, for each stretch of columns apart, and
meet B once: the cost is that of making B and one product of a few vectors with it, however many rounds there were.

Sums are taken modulo the prime p = 2^31 - 1. A wrong entry that is in range is then found unless a random value hits
one of p, which `TIMES` independent combinations miss with p^-4, about 2^-124. In range, because p itself and its
multiples would pass: the entries of a true product are at most size * 2^14 in size, and for any size read that is less
than p / 2. All sums are exact: products of 31-bit values with int8 ones, 2^15 of them at most, stay within 2^53.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from node.gpu.work.document import WorkProof
from node.gpu.work.hashes import STRETCH, first_state, key_a, key_b, next_state
from node.gpu.work.stream import keystream, matrix_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRIME = 2**31 - 1
TIMES = 4
_LARGEST_PRODUCT = 2**14


@dataclass(frozen=True, slots=True)
class Opened:
    """One opened stretch."""

    round_: int
    row: int
    stretch: int
    entries: bytes


def products_hold(proof: WorkProof, opened: list[Opened], secret: bytes | None) -> str | None:
    """What is wrong with the opened entries, None if nothing is."""
    size = proof.size
    values = np.frombuffer(b"".join(each.entries for each in opened), dtype="<i4").reshape(-1, STRETCH)
    if (far := np.abs(values.astype(np.int64)) > size * _LARGEST_PRODUCT).any():
        first = opened[int(np.argmax(far.any(axis=1)))]
        return f"an entry of round {first.round_}, row {first.row} is larger than any product of this size"
    rows = _rows(proof, opened)
    factors = _factors(proof, secret or secrets.token_bytes(32), len(opened))
    columns = key_b(proof.seed, size)
    for stretch in sorted({each.stretch for each in opened}):
        mine = [index for index, each in enumerate(opened) if each.stretch == stretch]
        some = factors[:, mine]
        # The rows of A combined: (TIMES, openings) x (openings, size). Then times 256 columns of B, stored as rows.
        combined = _reduced(_product("ij,jk->ik", some, rows[mine]))
        ours = matrix_rows(columns, size, stretch * STRETCH, STRETCH)
        expected = _reduced(_product("ik,jk->ij", combined, ours))
        claimed = _combined(some, values[mine])
        if (expected != claimed).any():
            rounds = sorted({opened[index].round_ for index in mine})
            return (
                f"entries {stretch * STRETCH} to {(stretch + 1) * STRETCH - 1} of the {len(mine)} rows opened there, in"
                f" rounds {rounds[0]} to {rounds[-1]}, are not those of A times B"
            )
    return None


def _product(how: str, factors: NDArray[np.int64], entries: NDArray[np.int8]) -> NDArray[np.float64]:
    """Exact sums of products. Not by the BLAS library: for a few vectors its threads gain nothing, and on a machine
    that has other work they wait for each other at full load, for ten times as long as the sums take."""
    made: NDArray[np.float64] = np.einsum(how, factors.astype(np.float64), entries)
    return made


def _reduced(sums: NDArray[np.float64]) -> NDArray[np.int64]:
    """Exact sums modulo the prime.

    As whole numbers: NumPy's remainder of floats is made by the x87 unit, which answers "not a number" in a process
    where somebody has left it in its other mode (MMX), as the virtual machine of the embedded chain does.
    """
    return np.mod(sums.astype(np.int64), PRIME)


def _rows(proof: WorkProof, opened: list[Opened]) -> NDArray[np.int8]:
    """The opened rows of the rounds' As."""
    keys = []
    state = first_state(proof.seed, proof.size)
    for number, root in enumerate(proof.roots, start=1):
        keys.append(key_a(state, number))
        state = next_state(state, number, root)
    return np.concatenate([matrix_rows(keys[each.round_ - 1], proof.size, each.row) for each in opened])


def _factors(proof: WorkProof, secret: bytes, count: int) -> NDArray[np.int64]:
    """Random values modulo the prime, (TIMES, count). They hang on all of the proof as well, so that even a prover who
    knew the secret would have to find openings that fit it."""
    key = hashlib.sha256(b"gwV1" + secret + proof.root + hashlib.sha256(proof.opened).digest()).digest()
    words = np.frombuffer(keystream(key, 0, 8 * TIMES * count), dtype="<u8")
    return (words % np.uint64(PRIME)).astype(np.int64).reshape(TIMES, count)


def _combined(factors: NDArray[np.int64], values: NDArray[np.int32]) -> NDArray[np.int64]:
    """Combinations of the claimed entries modulo the prime; (TIMES, 256)."""
    claimed = np.mod(values.astype(np.int64), PRIME)
    # Each product of two 31-bit values fits into 63 bits; it is reduced before they are added.
    sums = [np.mod(np.mod(row[:, None] * claimed, PRIME).sum(axis=0), PRIME) for row in factors]
    return np.stack(sums)
