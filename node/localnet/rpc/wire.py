"""Transactions as clients send them: decoding and the checks made before anything runs."""

from __future__ import annotations

from solders.message import Message, MessageV0, from_bytes_versioned
from solders.transaction import VersionedTransaction

from node.localnet.rpc.errors import RpcError, invalid_params
from node.localnet.rpc.params import decode_bytes

PACKET_BYTES = 1232
"""The most a transaction may have on the wire."""
_MOST_TEXT = {"base58": 1683, "base64": 1644}
"""Characters of so many bytes."""
_TRANSACTION = "solana_transaction::versioned::VersionedTransaction"
_MESSAGE = "solana_message::non_bpf_modules::versions::VersionedMessage"
_VERSIONED = 0x80
"""Set in the first byte of a message that says its version."""
_CUT = "io error: failed to fill whole buffer"


def decode_transaction(text: str, encoding: str) -> tuple[VersionedTransaction, bytes]:
    """The transaction and its bytes, without what follows it. Raises RpcError -32602."""
    wire = _decoded(text, encoding, _TRANSACTION)
    try:
        transaction = VersionedTransaction.from_bytes(wire)
    except (ValueError, OverflowError):
        raise _malformed(_TRANSACTION, wire[_message_offset(wire) :]) from None
    message = transaction.message
    if not isinstance(message, Message | MessageV0):
        raise _malformed(_TRANSACTION, wire[_message_offset(wire) :])
    if not _sound(transaction) or len(transaction.signatures) != message.header.num_required_signatures:
        raise invalid_transaction("Transaction failed to sanitize accounts offsets correctly")
    return transaction, bytes(transaction)


def decode_message(text: str) -> Message | MessageV0:
    """A base64 message. Raises RpcError -32602."""
    raw = _decoded(text, "base64", _MESSAGE)
    try:
        message = from_bytes_versioned(raw)
    except (ValueError, OverflowError):
        raise _malformed(_MESSAGE, raw) from None
    if not isinstance(message, Message | MessageV0):
        raise _malformed(_MESSAGE, raw)
    return message


def invalid_transaction(reason: str) -> RpcError:
    """The error for a transaction that no block could hold whatever the accounts are."""
    return invalid_params(f"invalid transaction: {reason}")


def _decoded(text: str, encoding: str, what: str) -> bytes:
    if encoding == "binary":
        encoding = "base58"
    if encoding not in _MOST_TEXT:
        raise invalid_params(f"unsupported encoding: {encoding}. Supported encodings: base58, base64")
    most = _MOST_TEXT[encoding]
    if len(text.encode()) > most:
        raise invalid_params(
            f"{encoding} encoded {what} too large: {len(text.encode())} bytes (max: encoded/raw {most}/{PACKET_BYTES})"
        )
    raw = decode_bytes(text, encoding)
    if len(raw) > PACKET_BYTES:
        raise invalid_params(f"decoded {what} too large: {len(raw)} bytes (max: {PACKET_BYTES} bytes)")
    return raw


def _malformed(what: str, message: bytes) -> RpcError:
    reason = _CUT
    if message[:1] and message[0] & _VERSIONED and message[0] != _VERSIONED:
        version = message[0] & ~_VERSIONED
        reason = f"invalid value: integer `{version}`, expected a valid transaction message version"
    return invalid_params(f"failed to deserialize {what}: {reason}")


def _message_offset(wire: bytes) -> int:
    """Where the message begins: after a count in seven-bit groups and so many signatures."""
    count = shift = at = 0
    while at < min(len(wire), 3):
        count |= (wire[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if wire[at - 1] < _VERSIONED:
            break
    return at + 64 * count


def _sound(transaction: VersionedTransaction) -> bool:
    try:
        transaction.sanitize()
    except Exception:
        # The library's own error class has no name that could be imported.
        return False
    return True
