"""Durable nonces: an account's value that stands in for a recent blockhash, for transactions signed long before.

A transaction uses one when its first instruction advances a nonce account and the blockhash it names is that account's
value. It may land while the value is that, whatever its age; landing changes the value, even where the rest fails.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from solders.account import Account
from solders.hash import Hash
from solders.message import Message, MessageV0, MessageV1
from solders.pubkey import Pubkey

_SYSTEM = Pubkey.default()
_ADVANCE = (4).to_bytes(4, "little")
"""The System program's AdvanceNonceAccount."""
_INITIALIZED = b"\x01\x00\x00\x00" * 2
"""The newest version, and the state: how a usable nonce account begins."""
_SIZE = 80
_AUTHORITY, _VALUE = slice(8, 40), slice(40, 72)

AnyMessage = Message | MessageV0 | MessageV1


def advanced_account(message: AnyMessage) -> Pubkey | None:
    """The nonce account that the message's first instruction advances; None where it does nothing of the kind."""
    if not message.instructions:
        return None
    first = message.instructions[0]
    keys, accounts = message.account_keys, bytes(first.accounts)
    if keys[first.program_id_index] != _SYSTEM or bytes(first.data)[:4] != _ADVANCE or not accounts:
        return None
    place, header, static = accounts[0], message.header, len(keys)
    signers = header.num_required_signatures
    if place < signers:
        writable = place < signers - header.num_readonly_signed_accounts
    else:
        writable = place < static - header.num_readonly_unsigned_accounts
    return keys[place] if writable else None


def stands_in(message: AnyMessage, read: Callable[[Pubkey], Account | None]) -> bool:
    """Whether the blockhash that the message names is the value of the nonce account it advances.

    `read` gives accounts as they are in the block that the message is to land on.
    """
    key = advanced_account(message)
    account = read(key) if key is not None else None
    if account is None or account.owner != _SYSTEM or len(account.data) != _SIZE:
        return False
    data = account.data
    if data[:8] != _INITIALIZED or data[_VALUE] != bytes(message.recent_blockhash):
        return False
    signers = {
        bytes(message.account_keys[index])
        for index in bytes(message.instructions[0].accounts)
        if index < message.header.num_required_signatures
    }
    return data[_AUTHORITY] in signers


def advanced(account: Account, blockhash: Hash) -> Account:
    """The nonce account with its next value, made of the bank's newest blockhash."""
    value = hashlib.sha256(b"DURABLE_NONCE" + bytes(blockhash)).digest()
    data = account.data[: _VALUE.start] + value + account.data[_VALUE.stop :]
    return Account(account.lamports, data, account.owner, account.executable, account.rent_epoch)
