"""The work proof once more, in plain Python from its description alone: shares no code with the product.

Slow and simple on purpose. `check` returns the name of the first part that is wrong, None if all is well.
"""

from __future__ import annotations

import base64
import json
import struct
from hashlib import sha256

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def from_base58(text: str) -> bytes:
    value = 0
    for letter in text:
        value = value * 58 + ALPHABET.index(letter)
    return value.to_bytes(32, "big")


def chacha_block(key: bytes, counter: int) -> bytes:
    """RFC 8439, section 2.3, with a nonce of zeros."""
    first = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), counter, 0, 0, 0]
    x = list(first)

    def quarter(a: int, b: int, c: int, d: int) -> None:
        for into, other, turned, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[into] = (x[into] + x[other]) & 0xFFFFFFFF
            mixed = x[turned] ^ x[into]
            x[turned] = ((mixed << by) | (mixed >> (32 - by))) & 0xFFFFFFFF

    for _ in range(10):
        for column in range(4):
            quarter(column, 4 + column, 8 + column, 12 + column)
        for column in range(4):
            quarter(column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(x, first, strict=True)))


def keystream(key: bytes, first_block: int, length: int) -> bytes:
    blocks = range(first_block, first_block + -(-length // 64))
    return b"".join(chacha_block(key, block) for block in blocks)[:length]


def line(key: bytes, size: int, index: int) -> list[int]:
    """A row of A, or a column of B."""
    return list(struct.unpack(f"{size}b", keystream(key, index * size // 64, size)))


def u32(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "big") for value in values)


def check(body: bytes, columns: int | None = 2) -> str | None:
    """`columns`: entries of each opening whose product is made, the first ones; None: all of them."""
    document = json.loads(body)
    if json.dumps(document, sort_keys=True, separators=(",", ":")).encode() != body:
        return "document"
    challenge, size, openings = document["challenge"], document["size"], document["openings"]
    text = b"gwS1" + from_base58(challenge["blockhash"]) + challenge["slot"].to_bytes(8, "big")
    text += from_base58(challenge["node"])
    for name in ("gpu", "purpose"):
        text += bytes([len(challenge[name])]) + challenge[name].encode()
    seed = sha256(text).digest()
    if seed.hex() != document["seed"]:
        return "challenge"
    raw = base64.b64decode(document["roots"])
    roots = [raw[at : at + 32] for at in range(0, len(raw), 32)]
    states = [sha256(b"gwI1" + seed + u32(size)).digest()]
    for number, root in enumerate(roots, start=1):
        states.append(sha256(b"gwC1" + states[-1] + u32(number) + root).digest())
    if states[-1].hex() != document["state"]:
        return "rounds"
    said = json.dumps(document["stated"], sort_keys=True, separators=(",", ":")).encode()
    root = sha256(b"gwF1" + states[-1] + u32(len(roots), size, openings) + sha256(b"gwD1" + said).digest()).digest()
    if root.hex() != document["root"]:
        return "root"
    return check_openings(document, seed, states, roots, root, columns)


def check_openings(
    document: dict, seed: bytes, states: list[bytes], roots: list[bytes], root: bytes, columns: int | None
) -> str | None:
    size, openings, after = document["size"], document["openings"], document["after"]
    across = size // 256
    depth = (size * across).bit_length() - 1
    step = 1024 + 32 * depth
    opened = base64.b64decode(document["opened"])
    if len(opened) != openings * step:
        return "document"
    key = sha256(b"gwO1" + root + after["slot"].to_bytes(8, "big") + from_base58(after["blockhash"])).digest()
    words = struct.unpack(f"<{2 * openings}Q", keystream(key, 0, 16 * openings))
    key_b = sha256(b"gwB1" + seed + u32(size)).digest()
    for index in range(openings):
        if index < openings - openings % len(roots):
            number = index % len(roots)
        else:
            number = words[2 * index] * len(roots) // 2**64
        leaf_index = words[2 * index + 1] * size * across // 2**64
        row, stretch = divmod(leaf_index, across)
        item = opened[index * step : (index + 1) * step]
        digest = sha256(b"gwL1" + u32(number + 1, row, stretch) + item[:1024]).digest()
        for level in range(depth):
            beside = item[1024 + 32 * level : 1056 + 32 * level]
            pair = beside + digest if leaf_index >> level & 1 else digest + beside
            digest = sha256(b"gwN1" + pair).digest()
        if digest != roots[number]:
            return "rows"
        key_a = sha256(b"gwA1" + states[number] + u32(number + 1)).digest()
        of_a = line(key_a, size, row)
        entries = struct.unpack("<256i", item[:1024])
        for column in range(256)[:columns]:
            of_b = line(key_b, size, stretch * 256 + column)
            if entries[column] != sum(a * b for a, b in zip(of_a, of_b, strict=True)):
                return "products"
    return None
