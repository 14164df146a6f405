"""CIDs as people and gateways write them: version 0, or version 1 of the same block in base32 or base58."""

from __future__ import annotations

import base64

from node.base58 import b58decode
from node.content.cid import cid_to_hash32, hash32_to_cid
from node.content.dag import DAG_PB, Malformed, read_cid
from node.errors import ContentError
from node.records import Cid


class NotKept(ContentError):
    """A CID that no block of a file here can have."""


def version_0(text: str) -> Cid:
    """The CIDv0 of a dag-pb block with a SHA-256. Raises NotKept for another CID, else ContentError."""
    if text.startswith("Qm"):
        cid_to_hash32(text)
        return Cid(text)
    try:
        if text[:1] in ("b", "B"):
            packed = base64.b32decode(text[1:].upper() + "=" * (-len(text[1:]) % 8))
        elif text[:1] == "z":
            packed = b58decode(text[1:])
        else:
            raise ContentError(f"{text[:60]!r} has an encoding that is not supported")
        link, end = read_cid(packed, 0)
    except (ValueError, Malformed) as error:
        raise ContentError(f"{text[:60]!r}: {error}") from None
    if link is None or link.inline or link.codec != DAG_PB or end != len(packed):
        raise NotKept(f"ipld: could not find {text[:80]}")
    return hash32_to_cid(link.digest)
