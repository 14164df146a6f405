"""SPL token accounts and mints as bytes.

Layouts: SPL Token program, 165-byte accounts and 82-byte mints; extensions of Token-2022 may follow.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

TOKEN_PROGRAM = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022_PROGRAM = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
NATIVE_MINT = Pubkey.from_string("So11111111111111111111111111111111111111112")
"""The mint of wrapped SOL, which every cluster has from genesis."""
ACCOUNT_BYTES = 165
MINT_BYTES = 82
MULTISIG_BYTES = 355

_ACCOUNT = struct.Struct("<32s32sQI32sBIQQI32s")
_MINT = struct.Struct("<I32sQBBI32s")
_MOST_DECIMALS = 19
"""10 to the power of more is beyond 64 bits, and has no floating point form at a node."""
_STATES = {1: "initialized", 2: "frozen"}
_PROGRAMS = (TOKEN_PROGRAM, TOKEN_2022_PROGRAM)


@dataclass(frozen=True, slots=True)
class TokenAccount:
    """One token account; amounts are in the mint's smallest unit."""

    mint: Pubkey
    owner: Pubkey
    amount: int
    delegate: Pubkey | None
    state: str
    native_reserve: int | None
    delegated_amount: int
    close_authority: Pubkey | None


@dataclass(frozen=True, slots=True)
class Mint:
    """One token mint."""

    authority: Pubkey | None
    supply: int
    decimals: int
    freeze_authority: Pubkey | None


def _key(present: int, raw: bytes) -> Pubkey | None:
    return Pubkey.from_bytes(raw) if present else None


def is_token_program(owner: Pubkey) -> bool:
    """Whether the owner is one of the two token programs."""
    return owner in _PROGRAMS


def token_account(account: Account) -> TokenAccount | None:
    """The account as an initialised token account, or None where it is none."""
    return token_account_of(account.data) if is_token_program(account.owner) else None


def token_account_of(data: bytes) -> TokenAccount | None:
    """An account's bytes as an initialised token account, whoever owns them."""
    if len(data) < ACCOUNT_BYTES or len(data) == MULTISIG_BYTES:
        return None
    if len(data) > ACCOUNT_BYTES and data[ACCOUNT_BYTES] != 2:
        return None  # Token-2022 marks what stands before its extensions: 2 is an account
    fields = _ACCOUNT.unpack_from(data)
    mint, owner, amount, has_delegate, delegate, state, native, reserve, delegated, has_close, close = fields
    if state not in _STATES:
        return None
    return TokenAccount(
        Pubkey.from_bytes(mint),
        Pubkey.from_bytes(owner),
        amount,
        _key(has_delegate, delegate),
        _STATES[state],
        reserve if native else None,
        delegated,
        _key(has_close, close),
    )


def mint(account: Account) -> Mint | None:
    """The account as an initialised mint, or None where it is none."""
    return mint_of(account.data) if is_token_program(account.owner) else None


def mint_of(data: bytes) -> Mint | None:
    """An account's bytes as an initialised mint, whoever owns them."""
    if len(data) != MINT_BYTES and (len(data) <= ACCOUNT_BYTES or len(data) == MULTISIG_BYTES):
        return None
    if len(data) > ACCOUNT_BYTES and data[ACCOUNT_BYTES] != 1:
        return None
    has_authority, authority, supply, decimals, ready, has_freeze, freeze = _MINT.unpack_from(data)
    if not ready:
        return None
    return Mint(_key(has_authority, authority), supply, decimals, _key(has_freeze, freeze))


def mint_bytes(authority: Pubkey | None, *, decimals: int, supply: int = 0) -> bytes:
    """An initialised mint without freeze authority; None: nobody may mint any more."""
    key = bytes(32) if authority is None else bytes(authority)
    return _MINT.pack(int(authority is not None), key, supply, decimals, 1, 0, bytes(32))


def native_mint() -> Account:
    """The mint of wrapped SOL as a cluster's genesis has it: 9 decimals, nobody's."""
    return Account(10**9, _MINT.pack(0, bytes(32), 0, 9, 1, 0, bytes(32)), TOKEN_PROGRAM, False, 1)


def account_bytes(token: Pubkey, owner: Pubkey, amount: int) -> bytes:
    """An initialised token account without delegate."""
    return _ACCOUNT.pack(bytes(token), bytes(owner), amount, 0, bytes(32), 1, 0, 0, 0, 0, bytes(32))


def amount_json(amount: int, decimals: int) -> dict[str, Any]:
    """An amount in the form RPC nodes give token amounts."""
    whole, part = divmod(amount, 10**decimals)
    digits = f"{part:0{decimals}d}".rstrip("0") if decimals else ""
    return {
        "amount": str(amount),
        "decimals": decimals,
        "uiAmount": amount / 10**decimals if decimals <= _MOST_DECIMALS else None,
        "uiAmountString": f"{whole}.{digits}" if digits else str(whole),
    }
