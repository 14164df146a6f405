"""A signed settle transaction, read from Solana's wire format."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from tests.proof.outside.encoding import Wrong, digest_of_cid, to_base58
from tests.proof.outside.signed import signed

MEMO = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"
PART = "settle_signed"
KINDS = {sha256(f"global:{name}".encode()).digest()[:8]: name for name in ("finish", "complete")}


@dataclass(frozen=True)
class Settlement:
    """What the transaction says of a job."""

    kind: str
    result: str
    run: str | None
    node: str
    receipt: str | None


class _Reader:
    def __init__(self, raw: bytes) -> None:
        self.raw, self.at = raw, 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.raw):
            raise Wrong(PART, "too short")
        self.at += count
        return self.raw[self.at - count : self.at]

    def count(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                if (byte == 0 and shift) or value > 0xFFFF:
                    raise Wrong(PART, "a count that is not in its shortest form")
                return value
            shift += 7
            if shift > 14:
                raise Wrong(PART, "a count")


def settlement_of(wire: bytes, program: str, job: str) -> Settlement | None:
    """What it settles; None where it takes keys from a table on the chain. Raises Wrong."""
    if len(wire) > 1232:
        raise Wrong(PART, "too long")
    reader = _Reader(wire)
    signatures = [reader.take(64) for _ in range(reader.count())]
    message = wire[reader.at :]
    version = None
    if message[:1] >= b"\x80":
        version = reader.take(1)[0] - 128
    if version not in (None, 0):
        raise Wrong(PART, "an unknown version")
    signers, read_signed, read_others = reader.take(3)
    keys = [reader.take(32) for _ in range(reader.count())]
    if not signatures or len(signatures) != signers or signers > len(keys) or read_signed >= signers:
        raise Wrong(PART, "signers")
    if read_others > len(keys) - signers or len(set(keys)) != len(keys):
        raise Wrong(PART, "keys")
    reader.take(32)
    instructions = []
    for _ in range(reader.count()):
        place = reader.take(1)[0]
        places = reader.take(reader.count())
        instructions.append((place, places, reader.take(reader.count())))
    tables = reader.count() if version == 0 else 0
    for _ in range(tables):
        reader.take(32)
        reader.take(reader.count())
        reader.take(reader.count())
    if reader.at != len(wire):
        raise Wrong(PART, "bytes behind it")
    if not all(signed(key, message, each) for key, each in zip(keys, signatures, strict=False)):
        raise Wrong(PART, "a signature")
    if tables:
        return None
    if any(max((place, *places)) >= len(keys) for place, places, _ in instructions):
        raise Wrong(PART, "a place without a key")
    names = [to_base58(key) for key in keys]
    for place, places, data in instructions:
        accounts = [names[each] for each in places]
        if names[place] == program and accounts[:1] == [job] and data[:8] in KINDS and len(data) >= 40:
            kind = KINDS[data[:8]]
            who = [each for each in accounts if each in names[:signers]]
            node = who[-1] if who else names[0]
            memos = [
                data for at, within, data in instructions if names[at] == MEMO and node in [names[it] for it in within]
            ]
            run = accounts[1] if kind == "finish" and len(accounts) > 1 else None
            return Settlement(kind, to_base58(b"\x12\x20" + data[8:40]), run, node, receipt_named(memos))
    raise Wrong(PART, "it settles another job, or none")


def receipt_named(memos: list[bytes]) -> str | None:
    """The one receipt that memos name."""
    found = set()
    for raw in memos:
        try:
            head, *pairs = raw.decode("utf-8").split(" ")
        except UnicodeDecodeError:
            continue
        values = [pair[2:] for pair in pairs if pair.startswith("r=")]
        if head != "gpunode/1" or not values:
            continue
        try:
            digest_of_cid(values[0], "memo")
        except Wrong:
            continue
        found.add(values[0])
    return found.pop() if len(found) == 1 else None
