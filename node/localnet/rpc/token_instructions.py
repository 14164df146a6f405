"""Instructions of the SPL Token program in the parsed form of `jsonParsed` (names and fields as Agave writes them).

Of the extensions of Token-2022, those for closing mints and for transfer fees are read; the others stay bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from solders.pubkey import Pubkey

from node.localnet.spl import amount_json

Parsed = dict[str, Any]

_AUTHORITIES = ("mintTokens", "freezeAccount", "accountOwner", "closeAccount")
_FIRST_OF_TOKEN_2022 = 4
"""Kinds of authority from here on belong to extensions."""


def parse_token(accounts: Sequence[str], data: bytes) -> Parsed:
    """Type and fields of one instruction. Raises ValueError, IndexError or struct.error for what is none."""
    parse = _INSTRUCTIONS.get(data[0])
    if parse is None:
        raise ValueError(f"SPL Token instruction {data[0]} is not read")
    kind, info = parse(accounts, data[1:])
    return {"type": kind, "info": info}


def _key(raw: bytes) -> str:
    if len(raw) != 32:
        raise ValueError("the data ends too early")
    return str(Pubkey.from_bytes(raw))


def _optional_key(data: bytes) -> str | None:
    """An option of a key: one byte, then the key where it is 1."""
    return _key(data[1:33]) if data[0] else None


def _amount(data: bytes) -> str:
    return str(struct.unpack_from("<Q", data)[0])


def _checked(data: bytes) -> Parsed:
    amount, decimals = struct.unpack_from("<QB", data)
    return amount_json(amount, decimals)


def _signed(accounts: Sequence[str], at: int, single: str, several: str) -> Parsed:
    """Who signs: one owner, or a multisig with the signers that follow it."""
    if len(accounts) > at + 1:
        return {several: accounts[at], "signers": list(accounts[at + 1 :])}
    return {single: accounts[at]}


Result = tuple[str, Parsed]


def _initialize_mint(accounts: Sequence[str], data: bytes, kind: str = "initializeMint") -> Result:
    info: Parsed = {"mint": accounts[0], "decimals": data[0], "mintAuthority": _key(data[1:33])}
    if kind == "initializeMint":
        info["rentSysvar"] = accounts[1]
    freeze = _optional_key(data[33:])
    return kind, info | ({"freezeAuthority": freeze} if freeze is not None else {})


def _initialize_account(accounts: Sequence[str], _data: bytes) -> Result:
    names = ("account", "mint", "owner", "rentSysvar")
    return "initializeAccount", {name: accounts[index] for index, name in enumerate(names)}


def _initialize_account2(accounts: Sequence[str], data: bytes) -> Result:
    info = {"account": accounts[0], "mint": accounts[1], "owner": _key(data[:32]), "rentSysvar": accounts[2]}
    return "initializeAccount2", info


def _initialize_account3(accounts: Sequence[str], data: bytes) -> Result:
    return "initializeAccount3", {"account": accounts[0], "mint": accounts[1], "owner": _key(data[:32])}


def _initialize_multisig(accounts: Sequence[str], data: bytes) -> Result:
    info = {"multisig": accounts[0], "rentSysvar": accounts[1], "signers": list(accounts[2:]), "m": data[0]}
    return "initializeMultisig", info


def _initialize_multisig2(accounts: Sequence[str], data: bytes) -> Result:
    return "initializeMultisig2", {"multisig": accounts[0], "signers": list(accounts[1:]), "m": data[0]}


def _transfer(accounts: Sequence[str], data: bytes) -> Result:
    info: Parsed = {"source": accounts[0], "destination": accounts[1], "amount": _amount(data)}
    return "transfer", info | _signed(accounts, 2, "authority", "multisigAuthority")


def _approve(accounts: Sequence[str], data: bytes) -> Result:
    info: Parsed = {"source": accounts[0], "delegate": accounts[1], "amount": _amount(data)}
    return "approve", info | _signed(accounts, 2, "owner", "multisigOwner")


def _revoke(accounts: Sequence[str], _data: bytes) -> Result:
    return "revoke", {"source": accounts[0]} | _signed(accounts, 1, "owner", "multisigOwner")


def _set_authority(accounts: Sequence[str], data: bytes) -> Result:
    if data[0] >= _FIRST_OF_TOKEN_2022:
        raise ValueError("an authority of an extension")
    owned = "mint" if data[0] < 2 else "account"
    info: Parsed = {
        owned: accounts[0],
        "authorityType": _AUTHORITIES[data[0]],
        "newAuthority": _optional_key(data[1:]),
    }
    return "setAuthority", info | _signed(accounts, 1, "authority", "multisigAuthority")


def _mint_to(accounts: Sequence[str], data: bytes) -> Result:
    info: Parsed = {"mint": accounts[0], "account": accounts[1], "amount": _amount(data)}
    return "mintTo", info | _signed(accounts, 2, "mintAuthority", "multisigMintAuthority")


def _burn(accounts: Sequence[str], data: bytes) -> Result:
    info: Parsed = {"account": accounts[0], "mint": accounts[1], "amount": _amount(data)}
    return "burn", info | _signed(accounts, 2, "authority", "multisigAuthority")


def _close_account(accounts: Sequence[str], _data: bytes) -> Result:
    info = {"account": accounts[0], "destination": accounts[1]}
    return "closeAccount", info | _signed(accounts, 2, "owner", "multisigOwner")


def _freezing(kind: str) -> Callable[[Sequence[str], bytes], Result]:
    def parse(accounts: Sequence[str], _data: bytes) -> Result:
        info = {"account": accounts[0], "mint": accounts[1]}
        return kind, info | _signed(accounts, 2, "freezeAuthority", "multisigFreezeAuthority")

    return parse


def _transfer_checked(accounts: Sequence[str], data: bytes) -> Result:
    info: Parsed = {"source": accounts[0], "mint": accounts[1], "destination": accounts[2]}
    info["tokenAmount"] = _checked(data)
    return "transferChecked", info | _signed(accounts, 3, "authority", "multisigAuthority")


def _approve_checked(accounts: Sequence[str], data: bytes) -> Result:
    info: Parsed = {"source": accounts[0], "mint": accounts[1], "delegate": accounts[2]}
    info["tokenAmount"] = _checked(data)
    return "approveChecked", info | _signed(accounts, 3, "owner", "multisigOwner")


def _mint_to_checked(accounts: Sequence[str], data: bytes) -> Result:
    info: Parsed = {"mint": accounts[0], "account": accounts[1], "tokenAmount": _checked(data)}
    return "mintToChecked", info | _signed(accounts, 2, "mintAuthority", "multisigMintAuthority")


def _burn_checked(accounts: Sequence[str], data: bytes) -> Result:
    info: Parsed = {"account": accounts[0], "mint": accounts[1], "tokenAmount": _checked(data)}
    return "burnChecked", info | _signed(accounts, 2, "authority", "multisigAuthority")


_EXTENSIONS = {2: "transferFeeAmount", 7: "immutableOwner"}
"""Names of the extensions that the associated token account program asks the size for."""


def _account_data_size(accounts: Sequence[str], data: bytes) -> Result:
    kinds = [number for (number,) in struct.iter_unpack("<H", data)]
    if any(kind not in _EXTENSIONS for kind in kinds):
        raise ValueError("the size for an extension that is not read")
    extensions = {"extensionTypes": [_EXTENSIONS[kind] for kind in kinds]} if kinds else {}
    return "getAccountDataSize", {"mint": accounts[0]} | extensions


def _close_authority(accounts: Sequence[str], data: bytes) -> Result:
    return "initializeMintCloseAuthority", {"mint": accounts[0], "newAuthority": _optional_key(data)}


def _transfer_fee(accounts: Sequence[str], data: bytes) -> Result:
    parse = _TRANSFER_FEES.get(data[0])
    if parse is None:
        raise ValueError(f"transfer fee instruction {data[0]} is not read")
    return parse(accounts, data[1:])


def _initialize_fee(accounts: Sequence[str], data: bytes) -> Result:
    info: Parsed = {"mint": accounts[0]}
    rest = data
    for name in ("transferFeeConfigAuthority", "withdrawWithheldAuthority"):
        key = _optional_key(rest)
        rest = rest[33:] if key is not None else rest[1:]
        info |= {name: key} if key is not None else {}
    return "initializeTransferFeeConfig", info | _fee(rest)


def _fee(data: bytes) -> Parsed:
    points, most = struct.unpack_from("<HQ", data)
    return {"transferFeeBasisPoints": points, "maximumFee": most}


def _transfer_with_fee(accounts: Sequence[str], data: bytes) -> Result:
    amount, decimals, fee = struct.unpack_from("<QBQ", data)
    info: Parsed = {"source": accounts[0], "mint": accounts[1], "destination": accounts[2]}
    info |= {"tokenAmount": amount_json(amount, decimals), "feeAmount": amount_json(fee, decimals)}
    return "transferCheckedWithFee", info | _signed(accounts, 3, "authority", "multisigAuthority")


def _set_fee(accounts: Sequence[str], data: bytes) -> Result:
    signed = _signed(accounts, 1, "transferFeeConfigAuthority", "multisigtransferFeeConfigAuthority")
    return "setTransferFee", {"mint": accounts[0]} | _fee(data) | signed


_TRANSFER_FEES: Mapping[int, Callable[[Sequence[str], bytes], Result]] = {
    0: _initialize_fee,
    1: _transfer_with_fee,
    4: lambda accounts, _data: (
        "harvestWithheldTokensToMint",
        {"mint": accounts[0], "sourceAccounts": list(accounts[1:])},
    ),
    5: _set_fee,
}


_INSTRUCTIONS: Mapping[int, Callable[[Sequence[str], bytes], Result]] = {
    0: _initialize_mint,
    1: _initialize_account,
    2: _initialize_multisig,
    3: _transfer,
    4: _approve,
    5: _revoke,
    6: _set_authority,
    7: _mint_to,
    8: _burn,
    9: _close_account,
    10: _freezing("freezeAccount"),
    11: _freezing("thawAccount"),
    12: _transfer_checked,
    13: _approve_checked,
    14: _mint_to_checked,
    15: _burn_checked,
    16: _initialize_account2,
    17: lambda accounts, _data: ("syncNative", {"account": accounts[0]}),
    18: _initialize_account3,
    19: _initialize_multisig2,
    20: lambda accounts, data: _initialize_mint(accounts, data, "initializeMint2"),
    21: _account_data_size,
    22: lambda accounts, _data: ("initializeImmutableOwner", {"account": accounts[0]}),
    23: lambda accounts, data: ("amountToUiAmount", {"mint": accounts[0], "amount": _amount(data)}),
    24: lambda accounts, data: ("uiAmountToAmount", {"mint": accounts[0], "uiAmount": data.decode()}),
    25: _close_authority,
    26: _transfer_fee,
}
