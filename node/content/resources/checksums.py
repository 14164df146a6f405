"""Checksums that sources give, in hexadecimal by algorithm: of a whole file, never of its parts."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Mapping
from typing import Protocol

import httpx

_LENGTH = {"sha256": 64, "sha1": 40, "md5": 32, "git": 40, "crc32": 8}
_ENCRYPTED = ("aws:kms", "aws:kms:dsse")


class _Hash(Protocol):
    def update(self, piece: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, piece: bytes, /) -> None:
        self._value = zlib.crc32(piece, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


class Sums:
    """Several checksums of one stream of `length` bytes."""

    def __init__(self, names: Mapping[str, str], length: int) -> None:
        self._hashes = {name: _new(name, length) for name in names}

    def update(self, piece: bytes) -> None:
        """Take the next bytes."""
        for each in self._hashes.values():
            each.update(piece)

    def hex(self) -> dict[str, str]:
        """Each in hexadecimal."""
        return {name: each.hexdigest() for name, each in self._hashes.items()}


def _new(name: str, length: int) -> _Hash:
    if name == "crc32":
        return _Crc32()
    if name == "git":
        blob = hashlib.sha1(usedforsecurity=False)
        blob.update(b"blob %d\0" % length)
        return blob
    return hashlib.new(name, usedforsecurity=False)


def is_sum(name: str, value: object) -> bool:
    """Whether this can be a checksum of that algorithm."""
    return isinstance(value, str) and re.fullmatch(rf"[0-9a-f]{{{_LENGTH[name]}}}", value) is not None


def expected_sums(listed: Mapping[str, str], noted: Mapping[str, str]) -> dict[str, str]:
    """What a file must have: what its listing says and what came with its bytes."""
    wanted = {name: value for name, value in noted.items() if name in _LENGTH and is_sum(name, value)}
    return {**wanted, **listed}


def stated_sums(response: httpx.Response) -> dict[str, str]:
    """The checksums that a store of Amazon's kind gives with the whole file."""
    headers = response.headers
    found: dict[str, str] = {}
    if response.status_code != 200 or "content-range" in headers:
        # With a part of a file may come the checksum of that part.
        return found
    for name in ("sha256", "sha1", "crc32"):
        # A composite one, of the parts' checksums, ends in the number of parts and so is no base64 of the right length.
        value = _from_base64(headers.get(f"x-amz-checksum-{name}", ""))
        if headers.get("x-amz-checksum-type", "FULL_OBJECT") == "FULL_OBJECT" and is_sum(name, value):
            found[name] = value
    return found


def strong(etag: str) -> str:
    """The tag without its quotes, which some servers leave out in lists; empty for a weak one, which names no bytes."""
    return "" if etag.startswith("W/") else etag.strip().strip('"')


def md5_of_etag(tag: str, encryption: str = "") -> str | None:
    """The MD5 that an S3 ETag is; None where it is none: of several parts, or encrypted with a key of the store's."""
    value = tag.lower()
    return value if is_sum("md5", value) and encryption not in _ENCRYPTED else None


def _from_base64(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).hex()
    except (binascii.Error, ValueError):
        return ""
