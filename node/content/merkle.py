"""Merkle roots over logs and samples: SHA-256 with the leaf and node bytes and the tree shape of RFC 6962.

The leaf byte 0x00 and the node byte 0x01 keep a leaf from being passed off as a node; the left subtree is
always the largest power of two that fits. Roots are lower-case hex.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

CHUNK_BYTES = 65_536


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256 of a leaf under its domain byte; 32 bytes."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of two subtrees' hashes under their domain byte; 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class _Peaks:
    """Roots of the full subtrees so far, largest first: all a growing tree needs to keep."""

    def __init__(self) -> None:
        self._peaks: list[tuple[int, bytes]] = []

    def add(self, digest: bytes) -> None:
        size = 1
        while self._peaks and self._peaks[-1][0] == size:
            _, left = self._peaks.pop()
            digest = node_hash(left, digest)
            size *= 2
        self._peaks.append((size, digest))

    def copy(self) -> _Peaks:
        twin = _Peaks()
        twin._peaks = list(self._peaks)
        return twin

    def root(self) -> str:
        digests = [digest for _, digest in self._peaks]
        if not digests:
            return hashlib.sha256(b"").hexdigest()
        root = digests.pop()
        while digests:
            root = node_hash(digests.pop(), root)
        return root.hex()


class MerkleHasher:
    """The Merkle root of a stream cut into chunks of `chunk_bytes`; keeps one chunk and one hash per level.

    How the stream is cut into `update` calls does not matter; the last chunk may be short.
    """

    def __init__(self, chunk_bytes: int = CHUNK_BYTES) -> None:
        if chunk_bytes < 1:
            raise ValueError("chunk_bytes must be at least 1")
        self._chunk_bytes = chunk_bytes
        self._peaks = _Peaks()
        self._chunk = bytearray()
        self.length = 0
        """Bytes taken so far."""

    def update(self, data: bytes) -> None:
        """Take the stream's next bytes."""
        self.length += len(data)
        view = memoryview(data)
        while len(view):
            room = self._chunk_bytes - len(self._chunk)
            self._chunk += view[:room]
            view = view[room:]
            if len(self._chunk) == self._chunk_bytes:
                self._peaks.add(leaf_hash(bytes(self._chunk)))
                self._chunk.clear()

    def root(self) -> str:
        """The root (hex) over what came so far; the stream may go on afterwards.

        A stream of no bytes has the root of a tree without leaves: SHA-256 of nothing.
        """
        peaks = self._peaks.copy()
        if self._chunk:
            peaks.add(leaf_hash(bytes(self._chunk)))
        return peaks.root()


def merkle_root(leaves: Iterable[bytes]) -> str:
    """The root (hex) over leaves of any lengths, in order."""
    peaks = _Peaks()
    for leaf in leaves:
        peaks.add(leaf_hash(leaf))
    return peaks.root()
