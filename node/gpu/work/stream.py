"""The matrices, as keystreams: ChaCha20 (RFC 8439, nonce of zeros) from block 0 on, one signed byte an entry.

A is laid out row after row, B column after column: so the inner products of both run along memory, which is what
tensor cores want. A row of A begins at block row * size / 64, so one row is made without the others. ChaCha20 because
it is a standard that every processor computes at gigabytes a second, a GPU included, and because no entry can be told
from another's without making it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from node.gpu.work.hashes import STRETCH, opening_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int8 = NDArray[np.int8]

_BLOCK = 64
_PIECE = 1 << 20
_ZEROS = bytes(_PIECE)


def keystream(key: bytes, first_block: int, length: int) -> bytearray:
    """`length` bytes of the keystream from a block on; the blocks' numbers have 32 bits."""
    nonce = first_block.to_bytes(4, "little") + bytes(12)
    cipher = Cipher(algorithms.ChaCha20(key, nonce), None).encryptor()
    made = bytearray(length)
    view = memoryview(made)
    for start in range(0, length, _PIECE):
        piece = view[start : start + _PIECE]
        cipher.update_into(_ZEROS[: len(piece)], piece)
    return made


def matrix(key: bytes, size: int) -> Int8:
    """All of a matrix, as stored: the rows of A, or the columns of B (that is, B transposed)."""
    return np.frombuffer(keystream(key, 0, size * size), dtype=np.int8).reshape(size, size)


def matrix_rows(key: bytes, size: int, first: int, count: int = 1) -> Int8:
    """`count` stored rows of a matrix from `first` on."""
    made = keystream(key, first * (size // _BLOCK), count * size)
    return np.frombuffer(made, dtype=np.int8).reshape(count, size)


def picks(
    root: bytes, slot: int, blockhash: str, *, size: int, rounds: int, openings: int
) -> list[tuple[int, int, int]]:
    """What is opened, in order: round (from 1), row, stretch.

    Two little-endian 64-bit words of the keystream stand for each. As many openings as go evenly over the rounds are
    dealt out to them in turn, so that no round is left out while there are enough; the rest go to rounds by the first
    word. The second word picks the stretch. A word w picks floor(w * choices / 2^64).
    """
    words = np.frombuffer(keystream(opening_key(root, slot, blockhash), 0, 16 * openings), dtype="<u8").tolist()
    across = size // STRETCH
    dealt = openings // rounds * rounds
    found = []
    for index in range(openings):
        round_ = index % rounds if index < dealt else words[2 * index] * rounds >> 64
        place = words[2 * index + 1] * (size * across) >> 64
        found.append((round_ + 1, place // across, place % across))
    return found
