"""A market that asks for an access key, and the metadata of such keys."""

from __future__ import annotations

import struct

from solders.pubkey import Pubkey

from .harness import METAPLEX, Outcome, pda
from .market_scene import Scene

COLLECTION = Pubkey.from_string("7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41")


def text(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value


def metadata(
    *,
    kind: int = 4,
    name: bytes = b"Key",
    creators: int | None = 1,
    nonce: bytes = b"\x01\xff",
    standard: bytes = b"\x01\x00",
    collection: bytes | None = b"\x01\x01" + bytes(COLLECTION),
    uses: bytes = b"\x00",
) -> bytes:
    head = bytes([kind]) + bytes(64) + text(name) + text(b"K") + text(b"https://example.org/key") + bytes(2)
    shares = b"\0" if creators is None else b"\x01" + struct.pack("<I", creators) + (bytes(32) + b"\x01\x64") * creators
    tail = b"\x00" if collection is None else collection
    return head + shares + b"\x01\x00" + nonce + standard + tail + uses


class KeyScene(Scene):
    """A market that asks for an access key, and a node that has one."""

    def __init__(self, data: bytes | None = None) -> None:
        super().__init__(access_key=COLLECTION)
        world = self.world
        self.nft_mint = world.put_mint(world.key())
        self.nft = world.put_tokens(world.key(), self.node, 1, self.nft_mint)
        self.metadata = pda([b"metadata", bytes(METAPLEX), bytes(self.nft_mint)], METAPLEX)
        world.put(self.metadata, METAPLEX, metadata() if data is None else data)

    def knock(self, **accounts: Pubkey) -> Outcome:
        given = {"nft": self.nft, "metadata": self.metadata} | accounts
        return self.attempt("work", **given).send()
