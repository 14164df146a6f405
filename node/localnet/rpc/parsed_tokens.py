"""Token accounts, mints and multisigs in the parsed form of `jsonParsed`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from node.localnet import spl
from node.localnet.rpc.token_extensions import extensions_json

AccountReader = Callable[[Pubkey], Account | None]
Parsed = dict[str, Any]
_MULTISIG_BYTES = 355


def parse_token(data: bytes, read: AccountReader) -> Parsed:
    """Type and fields of an account of either token program. Raises ValueError for what cannot be read."""
    held = spl.token_account_of(data)
    if held is not None:
        minted = _mint(held.mint, read)
        if minted is None:
            raise ValueError("a token account whose mint is not there")
        return {"type": "account", "info": _account_info(held, minted.decimals) | _extensions(data)}
    found = spl.mint_of(data)
    if found is not None:
        return {"type": "mint", "info": _mint_info(found) | _extensions(data)}
    if len(data) == _MULTISIG_BYTES and data[2] == 1:
        signers = (Pubkey.from_bytes(data[at : at + 32]) for at in range(3, _MULTISIG_BYTES, 32))
        info = {
            "numRequiredSigners": data[0],
            "numValidSigners": data[1],
            "isInitialized": True,
            "signers": [str(signer) for signer in signers if signer != Pubkey.default()],
        }
        return {"type": "multisig", "info": info}
    raise ValueError("no account of a token program")


def _mint(key: Pubkey, read: AccountReader) -> spl.Mint | None:
    account = read(key)
    return spl.mint_of(account.data) if account is not None else None


def _extensions(data: bytes) -> Parsed:
    found = extensions_json(data)
    return {"extensions": found} if found else {}


def _mint_info(found: spl.Mint) -> Parsed:
    return {
        "mintAuthority": found.authority and str(found.authority),
        "supply": str(found.supply),
        "decimals": found.decimals,
        "isInitialized": True,
        "freezeAuthority": found.freeze_authority and str(found.freeze_authority),
    }


def _account_info(found: spl.TokenAccount, decimals: int) -> Parsed:
    info: Parsed = {
        "mint": str(found.mint),
        "owner": str(found.owner),
        "tokenAmount": spl.amount_json(found.amount, decimals),
        "state": found.state,
        "isNative": found.native_reserve is not None,
    }
    if found.delegate is not None:
        info["delegate"] = str(found.delegate)
        info["delegatedAmount"] = spl.amount_json(found.delegated_amount, decimals)
    if found.native_reserve is not None:
        info["rentExemptReserve"] = spl.amount_json(found.native_reserve, decimals)
    if found.close_authority is not None:
        info["closeAuthority"] = str(found.close_authority)
    return info
