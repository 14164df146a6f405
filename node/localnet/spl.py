"""SPL token accounts and mints as bytes, and as the parsed JSON that RPC nodes answer with.

Layouts: SPL Token program, 165-byte accounts and 82-byte mints. Extensions of Token-2022 that follow them are
not parsed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

TOKEN_PROGRAM = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022_PROGRAM = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
ACCOUNT_BYTES = 165
MINT_BYTES = 82

_ACCOUNT = struct.Struct("<32s32sQI32sBIQQI32s")
_MINT = struct.Struct("<I32sQBBI32s")
_STATES = {1: "initialized", 2: "frozen"}
_PROGRAM_NAMES = {TOKEN_PROGRAM: "spl-token", TOKEN_2022_PROGRAM: "spl-token-2022"}


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
    return owner in _PROGRAM_NAMES


def token_account(account: Account) -> TokenAccount | None:
    """The account as an initialised token account, or None where it is none."""
    data = account.data
    if not is_token_program(account.owner) or len(data) < ACCOUNT_BYTES:
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
    data = account.data
    if not is_token_program(account.owner) or len(data) < MINT_BYTES or len(data) == ACCOUNT_BYTES:
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
        "uiAmount": amount / 10**decimals,
        "uiAmountString": f"{whole}.{digits}" if digits else str(whole),
    }


def parsed_json(account: Account, decimals: int | None) -> dict[str, Any] | None:
    """The `jsonParsed` form of a token account or mint; None where the account is neither.

    `decimals` are those of the token account's mint; without them a token account cannot be told.
    """
    found = token_account(account)
    if found is not None:
        if decimals is None:
            return None
        body = _account_info(found, decimals)
    else:
        minted = mint(account)
        if minted is None:
            return None
        body = {
            "type": "mint",
            "info": {
                "mintAuthority": minted.authority and str(minted.authority),
                "supply": str(minted.supply),
                "decimals": minted.decimals,
                "isInitialized": True,
                "freezeAuthority": minted.freeze_authority and str(minted.freeze_authority),
            },
        }
    return {"program": _PROGRAM_NAMES[account.owner], "parsed": body, "space": len(account.data)}


def _account_info(found: TokenAccount, decimals: int) -> dict[str, Any]:
    info: dict[str, Any] = {
        "mint": str(found.mint),
        "owner": str(found.owner),
        "tokenAmount": amount_json(found.amount, decimals),
        "state": found.state,
        "isNative": found.native_reserve is not None,
    }
    if found.delegate is not None:
        info["delegate"] = str(found.delegate)
        info["delegatedAmount"] = amount_json(found.delegated_amount, decimals)
    if found.native_reserve is not None:
        info["rentExemptReserve"] = amount_json(found.native_reserve, decimals)
    if found.close_authority is not None:
        info["closeAuthority"] = str(found.close_authority)
    return {"type": "account", "info": info}
