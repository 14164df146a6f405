"""Looks for a secret in files, in every dress that a careless program might have put it into."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

from solders.keypair import Keypair

from node.base58 import b58encode


def dresses(key: Keypair) -> Iterator[tuple[str, bytes]]:
    """A name and the bytes of each."""
    whole = bytes(key)
    seed = whole[:32]
    yield "raw", seed
    yield "raw reversed", seed[::-1]
    # Which quotes `repr` puts around bytes, and so whether it escapes a `'` inside, depends on what else is written.
    bare = repr(b'"' + seed)[3:-1].replace("\\'", "'")
    for text in (seed.hex(), seed.hex().upper(), seed.hex(" "), seed.hex(":"), str(list(seed))[1:-1]):
        yield text[:12], text.encode()
    yield "repr", bare.encode()
    yield "repr, quotes escaped", bare.replace("'", "\\'").encode()
    yield "JSON", json.dumps(list(seed), separators=(",", ":"))[1:-1].encode()
    yield "base58 of the pair", str(key).encode()
    yield "base58 of the seed", b58encode(seed).encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            # In the middle of other bytes, the text depends on where it begins.
            encoded = encode(bytes(offset) + seed)
            yield f"base64 at {offset}", encoded[4 if offset else 0 : -4]


def found(secrets: list[tuple[str, bytes]], content: bytes) -> list[str]:
    """Names of the dresses that occur."""
    return [name for name, needle in secrets if needle in content]


def leaks(secrets: list[tuple[str, bytes]], folder: Path) -> dict[str, list[str]]:
    """Files under a folder that hold one, and which."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    return {str(path): names for path in files if (names := found(secrets, path.read_bytes()))}
