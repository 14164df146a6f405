"""Memos that anchor documents on the chain: `gpunode/1 r=<receipt CID>`, `gpunode/1 h=<host card CID>`,
`gpunode/1 w=<root of a GPU work proof, hex>`.

Key=value pairs after the name and version, separated by blanks; unknown keys are ignored.
"""

from __future__ import annotations

import re

from node.content.cid import cid_to_hash32
from node.errors import ContentError
from node.records import Cid

PREFIX = "gpunode/1"
RECEIPT_KEY = "r"
CARD_KEY = "h"
WORK_KEY = "w"

_ROOT = re.compile(r"[0-9a-f]{64}")


def receipt_memo(cid: Cid) -> str:
    """The memo that a settle transaction carries."""
    return f"{PREFIX} {RECEIPT_KEY}={cid}"


def card_memo(cid: Cid) -> str:
    """The memo that a register transaction carries."""
    return f"{PREFIX} {CARD_KEY}={cid}"


def work_memo(root: str) -> str:
    """The memo, in a transaction of its own, that anchors a GPU work proof; `root` as hex."""
    return f"{PREFIX} {WORK_KEY}={root}"


def memo_root(text: str) -> str | None:
    """The root of a GPU work proof that a memo anchors (hex), None if there is none."""
    value = parse_memo(text).get(WORK_KEY, "")
    return value if _ROOT.fullmatch(value) else None


def parse_memo(text: str) -> dict[str, str]:
    """The pairs of one of our memos; empty for any other text. A key that is given twice counts once, the first."""
    head, *parts = text.split(" ")
    if head != PREFIX:
        return {}
    pairs: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if key and equals:
            pairs.setdefault(key, value)
    return pairs


def memo_cid(text: str, key: str) -> Cid | None:
    """The CID that a memo gives under a key, None if there is none."""
    value = parse_memo(text).get(key, "")
    try:
        cid_to_hash32(value)
    except ContentError:
        return None
    return Cid(value)
