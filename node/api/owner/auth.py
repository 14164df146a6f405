"""Who may speak for a job: the network's auth string.

`MESSAGE:SIGNATURE[:UNIX MS]`, where the signature (base58) is ed25519 over the message alone (Nosana's clients).
Neither is the time signed nor need it be there, so whoever has seen such a string can use it again for the same job;
and where the message names no job, for every job of the same owner. A client that signs `JOB:UNIX MS` as the message,
and so sends `JOB:UNIX MS:SIGNATURE`, gets a time that counts.
"""

from __future__ import annotations

from collections.abc import Collection

from solders.pubkey import Pubkey
from solders.signature import Signature

from node.api.owner.port import OwnedJob
from node.base58 import b58decode
from node.records import Address
from node.settings_api import ApiSettings

LONGEST = 1024
"""Characters of an auth string that is looked at."""
SOCKET_EXPIRY = 300
"""Seconds that a time is good for on a socket, whatever the job's timeout (Nosana node)."""
AHEAD_MS = 60_000
"""By how much a signed time may be ahead of this host's clock."""
_SIGNATURE_BYTES = 64
_SIGNATURE_TEXT = range(64, 89)
"""Characters of a signature in base58; longer text is not decoded, which would take the square of its length."""

NO_HEADER = "Header not found with key authorization."
INVALID = "Invalid signature."
EXPIRED = "Authorization has expired."
OTHER_MESSAGE = "Failed to authenticate message."
NO_BASE58 = "Non-base58 character"


class Unauthorized(Exception):
    """Not the owner's word. `reason` is what may be said of it; empty: the signature is another's."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


def accepted_messages(job: OwnedJob, settings: ApiSettings) -> Collection[str] | None:
    """The messages that count for a job; None: every one."""
    bound = (job.address, job.definition_cid)
    if settings.auth == "bound":
        return bound
    return None if settings.messages == "any" else (*bound, *settings.messages)


def authorize(
    text: str | None, job: OwnedJob, settings: ApiSettings, *, expiry: int, now_ms: int, node: Address | None = None
) -> None:
    """See that the job's owner wrote an auth string, or the node that `node` names. Raises Unauthorized.

    `expiry`: seconds that a time in it is good for.
    """
    accepted = accepted_messages(job, settings)
    try:
        verify(text, job.owner, accepted=accepted, job=job.address, expiry=expiry, now_ms=now_ms)
    except Unauthorized as refused:
        if node is None or refused.reason:
            raise
        verify(text, node, accepted=accepted, job=job.address, expiry=expiry, now_ms=now_ms)


def verify(
    text: str | None,
    signer: Address,
    *,
    accepted: Collection[str] | None,
    job: Address | None = None,
    expiry: int = SOCKET_EXPIRY,
    now_ms: int,
) -> None:
    """See that `signer` wrote an auth string. Raises Unauthorized. Cheap things are looked at first.

    `accepted`: messages that count; None: every one. `job`: whose `JOB:UNIX MS` counts as well.
    """
    if not text:
        raise Unauthorized(NO_HEADER)
    if len(text) > LONGEST:
        raise Unauthorized(INVALID)
    parts = text.split(":")
    if job is not None and parts[0] == job and len(parts) > 2 and _is_time(parts[1]):
        _in_time(int(parts[1]), expiry, now_ms)
        _signed(f"{parts[0]}:{parts[1]}", parts[2], signer)
        return
    message, signature = parts[0], parts[1] if len(parts) > 1 else ""
    if not message or not signature:
        raise Unauthorized(INVALID)
    if len(parts) > 2 and _is_time(parts[2]) and now_ms - int(parts[2]) >= expiry * 1000:
        raise Unauthorized(EXPIRED)
    if accepted is not None and message not in accepted:
        raise Unauthorized(OTHER_MESSAGE)
    _signed(message, signature, signer)


def _is_time(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 16


def _in_time(signed_ms: int, expiry: int, now_ms: int) -> None:
    """A signed time cannot be left out, so it may not lie ahead either: that would put its end off."""
    if not -AHEAD_MS <= now_ms - signed_ms < expiry * 1000:
        raise Unauthorized(EXPIRED)


def _signed(message: str, signature: str, signer: Address) -> None:
    if len(signature) not in _SIGNATURE_TEXT:
        raise Unauthorized(_wrong(signature))
    try:
        raw = b58decode(signature)
        written = message.encode("utf-8", "surrogateescape")
        if len(raw) != _SIGNATURE_BYTES:
            raise Unauthorized(INVALID)
        good = Signature.from_bytes(raw).verify(Pubkey.from_string(signer), written)
    except UnicodeEncodeError:
        raise Unauthorized(INVALID) from None
    except ValueError:
        raise Unauthorized(NO_BASE58) from None
    if not good:
        raise Unauthorized


def _wrong(signature: str) -> str:
    """What is wrong with a text that has not a signature's length."""
    try:
        b58decode(signature[:_SIGNATURE_BYTES])
    except ValueError:
        return NO_BASE58
    return INVALID
