"""Transactions as clients send them: decoding and the checks made before anything runs."""

from __future__ import annotations

from solders.message import Message, MessageV0, from_bytes_versioned
from solders.transaction import VersionedTransaction

from node.localnet.rpc.errors import invalid_params
from node.localnet.rpc.params import decode_bytes

PACKET_BYTES = 1232
"""The most a transaction may have on the wire."""


def decode_transaction(text: str, encoding: str) -> tuple[VersionedTransaction, bytes]:
    """The transaction and its bytes, or -32602."""
    wire = decode_bytes(text, encoding)
    if len(wire) > PACKET_BYTES:
        raise invalid_params(
            f"decoded solana_transaction::versioned::VersionedTransaction too large: {len(wire)} bytes "
            f"(max: {PACKET_BYTES} bytes)"
        )
    try:
        transaction = VersionedTransaction.from_bytes(wire)
        well_formed = bytes(transaction) == wire
    except (ValueError, OverflowError) as error:
        raise invalid_params(
            f"failed to deserialize solana_transaction::versioned::VersionedTransaction: {error}"
        ) from None
    message = transaction.message
    if not isinstance(message, Message | MessageV0):
        raise invalid_params("only legacy and version 0 transactions are taken")
    if not well_formed or len(transaction.signatures) != message.header.num_required_signatures:
        raise invalid_params("invalid transaction: Transaction failed to sanitize accounts offsets correctly")
    return transaction, wire


def decode_message(text: str) -> Message | MessageV0:
    """A base64 message, or -32602."""
    raw = decode_bytes(text, "base64")
    try:
        message = from_bytes_versioned(raw)
    except (ValueError, OverflowError) as error:
        raise invalid_params(f"failed to deserialize solana_message::versions::VersionedMessage: {error}") from None
    if not isinstance(message, Message | MessageV0):
        raise invalid_params("only legacy and version 0 messages are taken")
    return message
