"""A bundle: all that is known of one run of a job in one file, signed as a whole, to be checked without a network.

The file is a DSSE envelope over an in-toto statement, like a receipt, in canonical JSON (sorted keys, no blanks, UTF-8,
whole numbers); re-encoding what it says gives the same bytes, and any other bytes are refused. The predicate holds what
the node says (node/proof/bundle_document.py), `parts` and `digests`. Parts are documents and bytes just as they are
elsewhere: as `text` where they are UTF-8, else as `base64`:

    receipt, result, card, work    the documents of these names; their CIDs are under `cids`
    settle                         the signed transaction that settled the job, as it was sent
    earlier/1, earlier/2, …        receipts before this one, newest first
    samples                        the sample lines of the GPU meters
    definition, log/0, log/1, …    full bundles only
    openings                       what opens the commitments of a confidential job's receipt; full bundles only

`digests` has a hash of each part and of each other member, so that damage can be told by its place. It is signed like
the rest and proves nothing beside it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from node.errors import ProofError
from node.proof.bundle_damage import damaged_part
from node.proof.bundle_document import PART_NAME, PREDICATE_TYPE, Account, Digests, subject_of
from node.proof.envelope import Sign, canonical, seal, unseal
from node.records import Address

MAX_BYTES = 48 << 20
"""Bytes of a bundle's file. A redacted one has some kilobytes, and some three megabytes with a GPU work proof."""
MAX_PARTS_BYTES = MAX_BYTES * 2 // 3
"""Bytes that all parts have together at most, escapes included: with base64 around them they fit into MAX_BYTES."""
M = TypeVar("M", Account, Digests)

DIGESTS = "digests"
PARTS = "parts"
_NAME = re.compile(PART_NAME.strip("^$"))


class BundleRefused(ProofError):
    """A file that is no whole, unchanged bundle; `part` says where."""

    def __init__(self, message: str, part: str) -> None:
        super().__init__(message, hint="Ask for the file again: it was changed on its way, or is something else.")
        self.part = part


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose form, digests and signature were checked."""

    signer: Address
    account: Account
    parts: Mapping[str, bytes]

    def part(self, name: str) -> bytes | None:
        """A part's bytes; None where the bundle does not hold it."""
        return self.parts.get(name)


def build_bundle(account: Account, parts: Mapping[str, bytes], sign: Sign) -> bytes:
    """The bytes of a bundle's file. `sign` must sign with the key of the run's node; raises ProofError where it does
    not, or where the bundle would be over its limit."""
    said = account.document()
    digests = {name: _digest(canonical(value)) for name, value in said.items()}
    digests |= {f"{PARTS}/{name}": _digest(body) for name, body in parts.items()}
    predicate = {**said, PARTS: {name: _encoded(body) for name, body in parts.items()}, DIGESTS: digests}
    body = seal(
        Address(account.job.node),
        sign,
        subject=[subject_of(account.job.job)],
        predicate_type=PREDICATE_TYPE,
        predicate=predicate,
    )
    if len(body) > MAX_BYTES:
        raise ProofError(
            f"the bundle would have {len(body):,} bytes; {MAX_BYTES:,} are allowed", hint="Make it without --full."
        )
    return body


def parse_bundle(body: bytes) -> Bundle:
    """The bundle in a file, signed by the node that it names. Raises BundleRefused that says which part is wrong."""
    try:
        statement = unseal(body, None, PREDICATE_TYPE, limit=MAX_BYTES)
    except ProofError as error:
        part = damaged_part(body, MAX_BYTES)
        raise BundleRefused(f"{part}: {error.message}", part) from None
    predicate = dict(statement.predicate)
    parts = _parts(predicate.pop(PARTS, None))
    digests = _validated(Digests, {DIGESTS: predicate.pop(DIGESTS, None)}).digests
    found = {name: _digest(canonical(value)) for name, value in predicate.items()}
    found |= {f"{PARTS}/{name}": _digest(part) for name, part in parts.items()}
    for name in sorted({*found, *digests}):
        if found.get(name) != digests.get(name):
            raise BundleRefused(f"{name}: its digest is another", name)
    account = _validated(Account, predicate)
    if account.job.node != statement.signer:
        raise BundleRefused(f"job: the bundle is of node {account.job.node}, signed by {statement.signer}", "job")
    if list(statement.subject) != [subject_of(account.job.job)]:
        raise BundleRefused("subject: it is not the job", "subject")
    strangers = [name for name in (*account.cids, *(each.part for each in account.earlier)) if name not in parts]
    if strangers:
        raise BundleRefused(f"{PARTS}/{strangers[0]}: named, and not there", f"{PARTS}/{strangers[0]}")
    return Bundle(statement.signer, account, parts)


def encoded_size(body: bytes) -> int:
    """Bytes that a part takes inside a bundle, before the envelope's own encoding."""
    return len(canonical(_encoded(body)))


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _encoded(body: bytes) -> dict[str, str]:
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def _parts(held: object) -> dict[str, bytes]:
    if not isinstance(held, dict):
        raise BundleRefused(f"{PARTS}: they are not there", PARTS)
    parts = {}
    for name, value in held.items():
        if not _NAME.fullmatch(name):
            raise BundleRefused(f"{PARTS}: {name[:40]!r} is no name of a part", PARTS)
        body = _decoded(value)
        # One form only, so that the same part never has two encodings.
        if body is None or _encoded(body) != value:
            raise BundleRefused(f"{PARTS}/{name}: neither text nor base64", f"{PARTS}/{name}")
        parts[name] = body
    return parts


def _decoded(value: object) -> bytes | None:
    if not isinstance(value, dict) or len(value) != 1:
        return None
    (kind, text), *_ = value.items()
    if not isinstance(text, str):
        return None
    if kind == "text":
        return text.encode()
    try:
        return base64.b64decode(text, validate=True) if kind == "base64" else None
    except (binascii.Error, ValueError):
        return None


def _validated(kind: type[M], document: Mapping[str, Any]) -> M:
    try:
        # By the names of the file only: fields that have another one in Python would have two spellings.
        return kind.model_validate(document, by_alias=True, by_name=False)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise BundleRefused(f"{place}: {first['msg']}", str(first["loc"][0])) from None
