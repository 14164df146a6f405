"""Instructions in the parsed form of `jsonParsed`: System, SPL Token, associated token accounts, lookup tables, memos.

Names and fields are those of a node's transaction status (Agave). Where a node cannot read an instruction it answers
with its accounts and data instead; so does this: a parser that raises ValueError has not understood.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from solders.pubkey import Pubkey

from node.base58 import b58encode
from node.localnet.ledger import MEMO_PROGRAMS
from node.localnet.loaders import UPGRADEABLE_LOADER
from node.localnet.rpc.bincode import Reader
from node.localnet.rpc.native_instructions import parse_loader, parse_stake, parse_vote
from node.localnet.rpc.token_instructions import parse_token
from node.localnet.spl import TOKEN_2022_PROGRAM, TOKEN_PROGRAM

_ASSOCIATED = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
_LOOKUP_TABLES = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")

_STAKE = Pubkey.from_string("Stake11111111111111111111111111111111111111")
_VOTE = Pubkey.from_string("Vote111111111111111111111111111111111111111")

Parsed = dict[str, Any]
Parser = Callable[[Sequence[str], bytes], Parsed]


def instruction_json(program: Pubkey, accounts: Sequence[str], data: bytes, height: int) -> Parsed:
    """An instruction as `jsonParsed` shows it: read, where its program is known and the bytes make sense."""
    known = _PROGRAMS.get(program)
    if known is not None:
        name, parse = known
        try:
            parsed: object = parse(accounts, data)
        except (ValueError, IndexError, struct.error):
            pass
        else:
            return {"program": name, "programId": str(program), "parsed": parsed, "stackHeight": height}
    return {
        "programId": str(program),
        "accounts": list(accounts),
        "data": b58encode(data),
        "stackHeight": height,
    }


def _memo(_accounts: Sequence[str], data: bytes) -> str:
    return data.decode()


def _named(kind: str, info: Parsed) -> Parsed:
    return {"type": kind, "info": info}


# --- System program


def _system(accounts: Sequence[str], data: bytes) -> Parsed:
    fields = Reader(data)
    number = int.from_bytes(fields.take(4), "little")
    if number not in _SYSTEM:
        raise ValueError(f"no System instruction {number}")
    return _SYSTEM[number](accounts, fields)


def _create(accounts: Sequence[str], fields: Reader) -> Parsed:
    info: Parsed = {"source": accounts[0], "newAccount": accounts[1]}
    info |= {"lamports": fields.u64(), "space": fields.u64(), "owner": fields.key()}
    return _named("createAccount", info)


def _create_with_seed(accounts: Sequence[str], fields: Reader) -> Parsed:
    info: Parsed = {"source": accounts[0], "newAccount": accounts[1], "base": fields.key(), "seed": fields.text()}
    info |= {"lamports": fields.u64(), "space": fields.u64(), "owner": fields.key()}
    return _named("createAccountWithSeed", info)


def _transfer_with_seed(accounts: Sequence[str], fields: Reader) -> Parsed:
    info: Parsed = {"source": accounts[0], "sourceBase": accounts[1], "destination": accounts[2]}
    info |= {"lamports": fields.u64(), "sourceSeed": fields.text(), "sourceOwner": fields.key()}
    return _named("transferWithSeed", info)


def _withdraw_nonce(accounts: Sequence[str], fields: Reader) -> Parsed:
    names = ("nonceAccount", "destination", "recentBlockhashesSysvar", "rentSysvar", "nonceAuthority")
    return _named("withdrawFromNonce", _by_name(names, accounts) | {"lamports": fields.u64()})


def _initialize_nonce(accounts: Sequence[str], fields: Reader) -> Parsed:
    names = ("nonceAccount", "recentBlockhashesSysvar", "rentSysvar")
    return _named("initializeNonce", _by_name(names, accounts) | {"nonceAuthority": fields.key()})


def _allocate_with_seed(accounts: Sequence[str], fields: Reader) -> Parsed:
    info: Parsed = {"account": accounts[0], "base": fields.key(), "seed": fields.text()}
    return _named("allocateWithSeed", info | {"space": fields.u64(), "owner": fields.key()})


def _assign_with_seed(accounts: Sequence[str], fields: Reader) -> Parsed:
    info: Parsed = {"account": accounts[0], "base": fields.key(), "seed": fields.text()}
    return _named("assignWithSeed", info | {"owner": fields.key()})


def _by_name(names: Sequence[str], accounts: Sequence[str]) -> Parsed:
    if len(accounts) < len(names):
        raise ValueError("too few accounts")
    return dict(zip(names, accounts, strict=False))


_SYSTEM: Mapping[int, Callable[[Sequence[str], Reader], Parsed]] = {
    0: _create,
    1: lambda accounts, fields: _named("assign", {"account": accounts[0], "owner": fields.key()}),
    2: lambda accounts, fields: _named(
        "transfer", {"source": accounts[0], "destination": accounts[1], "lamports": fields.u64()}
    ),
    3: _create_with_seed,
    4: lambda accounts, _fields: _named(
        "advanceNonce", _by_name(("nonceAccount", "recentBlockhashesSysvar", "nonceAuthority"), accounts)
    ),
    5: _withdraw_nonce,
    6: _initialize_nonce,
    7: lambda accounts, fields: _named(
        "authorizeNonce", _by_name(("nonceAccount", "nonceAuthority"), accounts) | {"newAuthorized": fields.key()}
    ),
    8: lambda accounts, fields: _named("allocate", {"account": accounts[0], "space": fields.u64()}),
    9: _allocate_with_seed,
    10: _assign_with_seed,
    11: _transfer_with_seed,
    12: lambda accounts, _fields: _named("upgradeNonce", {"nonceAccount": accounts[0]}),
}


# --- associated token accounts and lookup tables


_RECOVERED = ("nestedSource", "nestedMint", "destination", "nestedOwner", "ownerMint", "wallet", "tokenProgram")


def _associated(accounts: Sequence[str], data: bytes) -> Parsed:
    kinds = {b"": "create", b"\x00": "create", b"\x01": "createIdempotent", b"\x02": "recoverNested"}
    if data not in kinds:
        raise ValueError("no instruction of the associated token account program")
    if data == b"\x02":
        names: Sequence[str] = _RECOVERED
    else:
        names = ("source", "account", "wallet", "mint", "systemProgram", "tokenProgram")
    return _named(kinds[data], _by_name(names, accounts))


def _lookup_table(accounts: Sequence[str], data: bytes) -> Parsed:
    fields = Reader(data)
    number = int.from_bytes(fields.take(4), "little")
    table = _by_name(("lookupTableAccount", "lookupTableAuthority"), accounts)
    payer = {"payerAccount": accounts[2], "systemProgram": accounts[3]} if len(accounts) >= 4 else {}
    if number == 0:
        if not payer:
            raise ValueError("too few accounts")
        return _named("createLookupTable", table | payer | {"recentSlot": fields.u64(), "bumpSeed": fields.u8()})
    if number == 2:
        new = [fields.key() for _ in range(fields.u64())]
        return _named("extendLookupTable", table | {"newAddresses": new} | payer)
    if number == 4:
        return _named("closeLookupTable", table | {"recipient": accounts[2]})
    if number in (1, 3):
        return _named("freezeLookupTable" if number == 1 else "deactivateLookupTable", table)
    raise ValueError("no instruction of the lookup table program")


_PROGRAMS: Mapping[Pubkey, tuple[str, Callable[[Sequence[str], bytes], object]]] = {
    Pubkey.default(): ("system", _system),
    TOKEN_PROGRAM: ("spl-token", parse_token),
    TOKEN_2022_PROGRAM: ("spl-token", parse_token),
    _ASSOCIATED: ("spl-associated-token-account", _associated),
    _LOOKUP_TABLES: ("address-lookup-table", _lookup_table),
    _STAKE: ("stake", parse_stake),
    _VOTE: ("vote", parse_vote),
    UPGRADEABLE_LOADER: ("bpf-upgradeable-loader", parse_loader),
} | dict.fromkeys(MEMO_PROGRAMS, ("spl-memo", _memo))
