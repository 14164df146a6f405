"""GPU work proofs: every opened entry is computed, with NumPy, from the page's words. Slower than the product's way,
and nothing in it is random."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from tests.proof.outside.encoding import Wrong, canonical_json, from_base58, from_base64

TYPE = "urn:gpunode:work:1"
KEYS = {"_type", "after", "challenge", "opened", "openings", "root", "roots", "seed", "size", "state", "stated"}


@dataclass(frozen=True)
class Chain:
    """What somebody has read from a chain: slots, blockhashes, the memo's node and root."""

    seed_blockhash: str
    node: str
    root: str
    anchor_slot: int
    after_slot: int
    after_blockhash: str


def u32(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "big") for value in values)


def chacha20(key: bytes, first: int, blocks: int) -> np.ndarray:
    """Keystream blocks (RFC 8439, nonce of zeros) as (blocks, 64) bytes."""
    return chacha20_blocks([key], np.zeros(blocks, dtype=np.int64), np.arange(first, first + blocks))


def chacha20_blocks(keys: list[bytes], which: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Blocks with these numbers, each of one of the keys' streams."""
    heads = np.stack([np.frombuffer(b"expand 32-byte k" + key, dtype="<u4") for key in keys])
    start = np.zeros((16, len(numbers)), dtype=np.uint32)
    start[:12] = heads[which].T
    start[12] = numbers
    x = start.copy()

    def turn(row: int, by: int) -> None:
        x[row] = (x[row] << np.uint32(by)) | (x[row] >> np.uint32(32 - by))

    def quarter(a: int, b: int, c: int, d: int) -> None:
        for p, q, r, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[p] += x[q]
            x[r] ^= x[p]
            turn(r, by)

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return np.ascontiguousarray((x + start).T).astype("<u4").view(np.uint8).reshape(-1, 64)


def lines(key: bytes, size: int, first: int, count: int) -> np.ndarray:
    """Stored rows of a matrix: rows of A, columns of B."""
    return chacha20(key, first * size // 64, count * size // 64).reshape(count, size).view(np.int8)


def whole(value: object, most: int, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= most:
        raise Wrong("work_document", "a number")
    return value


def hexed(value: object) -> bytes:
    if not isinstance(value, str) or len(value) != 64 or any(each not in "0123456789abcdef" for each in value):
        raise Wrong("work_document", "no hash")
    return bytes.fromhex(value)


def failed_parts(
    body: bytes, chain: Chain | None = None, *, node: str | None = None, gpu: str | None = None, least: int = 1024
) -> list[str]:
    """Names of what is wrong, in the order of the page; empty: nothing is."""
    try:
        return _judge(body, chain, node, gpu, least)
    except Wrong as wrong:
        return [wrong.part]


def _judge(body: bytes, chain: Chain | None, node: str | None, gpu: str | None, least: int) -> list[str]:
    document = canonical_json(body, "work_document", escaped=True)
    if not isinstance(document, dict) or set(document) != KEYS or document["_type"] != TYPE:
        raise Wrong("work_document", "no proof")
    size, openings = whole(document["size"], 32_768, 256), whole(document["openings"], 4096, 1)
    if size & (size - 1):
        raise Wrong("work_document", "size")
    raw = from_base64(document["roots"], "work_document")
    rounds = len(raw) // 32
    if len(raw) % 32 or not 1 <= rounds <= 65_536:
        raise Wrong("work_document", "roots")
    roots = [raw[at : at + 32] for at in range(0, len(raw), 32)]
    depth = (size * size // 256).bit_length() - 1
    step = 1024 + 32 * depth
    opened = from_base64(document["opened"], "work_document")
    if len(opened) != openings * step:
        raise Wrong("work_document", "openings")
    text, stated = _challenge(document["challenge"]), _stated(document["stated"])
    stored = {name: hexed(document[name]) for name in ("seed", "state", "root")}

    wrong = []
    if node is not None and document["challenge"]["node"] != node:
        wrong.append("work_node")
    if gpu is not None and document["challenge"]["gpu"] != gpu:
        wrong.append("work_gpu")
    # Each value is judged from the stored one before it, so that a fault shows where it is.
    if sha256(b"gwS1" + text).digest() != stored["seed"]:
        wrong.append("work_challenge")
    states = [sha256(b"gwI1" + stored["seed"] + u32(size)).digest()]
    for number, root in enumerate(roots, start=1):
        states.append(sha256(b"gwC1" + states[-1] + u32(number) + root).digest())
    if states[-1] != stored["state"]:
        wrong.append("work_rounds")
    shape = u32(rounds, size, openings)
    if sha256(b"gwF1" + stored["state"] + shape + sha256(b"gwD1" + stated).digest()).digest() != stored["root"]:
        wrong.append("work_root")
    after = document["after"]
    if not isinstance(after, dict) or set(after) != {"blockhash", "slot"}:
        raise Wrong("work_document", "after")
    slot = whole(after["slot"], 2**63 - 1)
    if not isinstance(after["blockhash"], str):
        raise Wrong("work_document", "after")
    if chain is not None:
        wrong += _against(document, chain)
    if openings < least:
        wrong.append("work_openings")
    try:
        blockhash = from_base58(after["blockhash"], 32, "work_after_block")
    except Wrong as fault:
        return [*wrong, fault.part]
    key = sha256(b"gwO1" + stored["root"] + slot.to_bytes(8, "big") + blockhash).digest()
    words = chacha20(key, 0, -(-16 * openings // 64)).reshape(-1)[: 16 * openings].view("<u8").tolist()
    picks = []
    for index in range(openings):
        first, second = words[2 * index], words[2 * index + 1]
        number = index % rounds if index < openings // rounds * rounds else first * rounds // 2**64
        row, stretch = divmod(second * size * (size // 256) // 2**64, size // 256)
        picks.append((number, row, stretch))
    items = [opened[at : at + step] for at in range(0, len(opened), step)]
    if any(_climb(item, *pick, size) != roots[pick[0]] for item, pick in zip(items, picks, strict=True)):
        wrong.append("work_rows")
    keys = [sha256(b"gwA1" + state + u32(number + 1)).digest() for number, state in enumerate(states[:-1])]
    if not _products(items, picks, keys, sha256(b"gwB1" + stored["seed"] + u32(size)).digest(), size):
        wrong.append("work_products")
    return wrong


def _challenge(challenge: Any) -> bytes:
    part = "work_document"
    if not isinstance(challenge, dict) or set(challenge) != {"blockhash", "gpu", "node", "purpose", "slot"}:
        raise Wrong(part, "challenge")
    text = from_base58(challenge["blockhash"], 32, part)
    text += whole(challenge["slot"], 2**64 - 1).to_bytes(8, "big")
    text += from_base58(challenge["node"], 32, part)
    for name in ("gpu", "purpose"):
        value = challenge[name]
        if not isinstance(value, str) or not 1 <= len(value) <= 64 or any(not " " <= each <= "~" for each in value):
            raise Wrong(part, name)
        text += bytes([len(value)]) + value.encode("ascii")
    return text


def _stated(stated: Any) -> bytes:
    part = "work_document"
    if not isinstance(stated, dict) or set(stated) != {"device", "engine", "millijoules", "milliseconds"}:
        raise Wrong(part, "stated")
    for name in ("device", "engine"):
        if not isinstance(stated[name], str) or len(stated[name]) > 200:
            raise Wrong(part, name)
    whole(stated["milliseconds"], 2**63 - 1)
    if stated["millijoules"] is not None:
        whole(stated["millijoules"], 2**63 - 1)
    return json.dumps(stated, sort_keys=True, separators=(",", ":")).encode("ascii")


def _against(document: dict[str, Any], chain: Chain) -> list[str]:
    challenge, after = document["challenge"], document["after"]
    wrong = []
    if challenge["blockhash"] != chain.seed_blockhash or challenge["slot"] >= chain.anchor_slot:
        wrong.append("work_seed_block")
    if document["root"] != chain.root or challenge["node"] != chain.node:
        wrong.append("work_anchor")
    if (after["slot"], after["blockhash"]) != (chain.after_slot, chain.after_blockhash) or (
        chain.anchor_slot >= chain.after_slot
    ):
        wrong.append("work_after_block")
    return wrong


def _climb(item: bytes, number: int, row: int, stretch: int, size: int) -> bytes:
    digest = sha256(b"gwL1" + u32(number + 1, row, stretch) + item[:1024]).digest()
    index = row * (size // 256) + stretch
    for at in range(1024, len(item), 32):
        beside = item[at : at + 32]
        digest = sha256(b"gwN1" + (beside + digest if index % 2 else digest + beside)).digest()
        index //= 2
    return digest


def _products(
    items: list[bytes], picks: list[tuple[int, int, int]], keys: list[bytes], key_b: bytes, size: int
) -> bool:
    """Every opened entry, as the sum of `size` int8 products. Doubles hold each such sum exactly."""
    each = size // 64
    which = np.repeat([pick[0] for pick in picks], each)
    numbers = np.concatenate([np.arange(pick[1] * each, (pick[1] + 1) * each) for pick in picks])
    rows = chacha20_blocks(keys, which, numbers).reshape(len(picks), size).view(np.int8)
    for stretch in sorted({pick[2] for pick in picks}):
        mine = [index for index, pick in enumerate(picks) if pick[2] == stretch]
        of_a = rows[mine]
        of_b = lines(key_b, size, stretch * 256, 256)
        claimed = np.stack([np.frombuffer(items[index][:1024], dtype="<i4") for index in mine])
        if not np.array_equal(of_a.astype(np.float64) @ of_b.astype(np.float64).T, claimed):
            return False
    return True
