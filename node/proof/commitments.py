"""Salted commitments: what the receipt of a confidential job holds in place of what the job was.

A hash of something that can be guessed (an image, a command, a short log) gives it away; so each value is hashed with
32 random bytes of its own. Who is later given salt and value can see that the receipt was made with that value and no
other; from one opening nothing follows about the rest.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from node.errors import ProofError
from node.proof.envelope import canonical

DOMAIN = b"gpunode/commitment/1\0"
SALT_BYTES = 32
DELIVERED = "delivered"
"""Name of a value that is no field of the receipt: the CID of the definition that the job's owner sent."""

HIDDEN = ("id", "image", "command", "log")
"""Keys of an operation that a confidential job's receipt commits to."""


def commit(name: str, salt: bytes, value: Any) -> str:
    """SHA-256 (hex) of DOMAIN, the name, a zero byte, 32 bytes of salt and the value's canonical JSON. Raises
    ProofError for a name with a zero byte, a salt of another length, or a value that has no canonical JSON."""
    if "\0" in name or len(salt) != SALT_BYTES:
        raise ProofError(f"a commitment has a name without zero bytes and {SALT_BYTES} bytes of salt")
    try:
        head = DOMAIN + name.encode() + b"\0"
    except UnicodeEncodeError:
        raise ProofError("a commitment's name is text") from None
    return hashlib.sha256(head + salt + canonical(value)).hexdigest()


def opens(commitment: str, name: str, salt: bytes, value: Any) -> bool:
    """Whether the commitment (hex) was made of just this. Raises nothing."""
    try:
        made = commit(name, salt, value)
    except ProofError:
        return False
    return hmac.compare_digest(made.encode(), commitment.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class Opening:
    """What one commitment was made of."""

    name: str
    salt: str
    """64 hex digits."""
    value: Any

    @property
    def commitment(self) -> str:
        """The commitment that this opens; hex."""
        return commit(self.name, bytes.fromhex(self.salt), self.value)


@dataclass(frozen=True, slots=True)
class Reveal:
    """Openings of a receipt's commitments: all of them, or those that somebody chose to show. In order of their
    names."""

    openings: tuple[Opening, ...] = field(default=())

    @property
    def commitments(self) -> dict[str, str]:
        """Commitment (hex) by name, as a receipt holds them."""
        return {opening.name: opening.commitment for opening in self.openings}

    def only(self, names: Sequence[str]) -> Reveal:
        """The openings of these names alone."""
        return Reveal(tuple(opening for opening in self.openings if opening.name in names))

    def wrong(self, commitments: Mapping[str, str]) -> tuple[str, ...]:
        """Names that this does not open: the receipt has no such commitment, or another."""
        return tuple(
            opening.name
            for opening in self.openings
            if not opens(commitments.get(opening.name, ""), opening.name, bytes.fromhex(opening.salt), opening.value)
        )

    def document(self) -> dict[str, Any]:
        """As JSON holds it: `{name: {"salt": hex, "value": ...}}`."""
        return {opening.name: {"salt": opening.salt, "value": opening.value} for opening in self.openings}


def read_reveal(document: object) -> Reveal:
    """The openings in a document. Raises ProofError that says what is malformed."""
    if not isinstance(document, dict):
        raise ProofError("the openings of commitments are no JSON object")
    openings = []
    for name, entry in sorted(document.items()):
        salt = entry.get("salt") if isinstance(entry, dict) else None
        if not isinstance(salt, str) or not _is_salt(salt) or set(entry) != {"salt", "value"}:
            raise ProofError(f"the opening of {name!r:.100} is malformed")
        opening = Opening(name, salt, entry["value"])
        commit(name, bytes.fromhex(salt), opening.value)  # raises for what nothing can be a commitment of
        openings.append(opening)
    return Reveal(tuple(openings))


def _is_salt(text: str) -> bool:
    return len(text) == 2 * SALT_BYTES and all(letter in "0123456789abcdef" for letter in text)


def conceal(values: Mapping[str, Any]) -> Reveal:
    """Openings with new salts. Made once and kept: with other salts it would be another receipt."""
    made = [Opening(name, secrets.token_hex(SALT_BYTES), value) for name, value in sorted(values.items())]
    for opening in made:
        commit(opening.name, bytes.fromhex(opening.salt), opening.value)
    return Reveal(tuple(made))


def hidden_values(operations: Sequence[Mapping[str, Any]], delivered: str | None) -> dict[str, Any]:
    """What a confidential job's receipt commits to, by name: of each operation (as the receipt would have it)
    `operations.INDEX.KEY`; and the CID of the definition that its owner sent, where one was."""
    values = {f"operations.{operation['index']}.{key}": operation[key] for operation in operations for key in HIDDEN}
    return values if delivered is None else {**values, DELIVERED: delivered}


def without_hidden(operation: Mapping[str, Any]) -> dict[str, Any]:
    """An operation of a receipt with nothing in those places: its index for a name, null for the rest."""
    return {**operation, **dict.fromkeys(HIDDEN), "id": str(operation["index"])}
