"""Accounts in the parsed form of `jsonParsed`, for the programs that a node can read.

Names and fields are those of a node's account decoder (agave 3.1). What cannot be read is None, and comes as bytes.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

from solders.account import Account
from solders.hash import Hash
from solders.pubkey import Pubkey

from node.localnet.rpc.bincode import Reader
from node.localnet.rpc.parsed_stakes import parse_stake, parse_vote
from node.localnet.rpc.parsed_sysvars import parse_sysvar
from node.localnet.rpc.parsed_tokens import AccountReader, parse_token
from node.localnet.spl import TOKEN_2022_PROGRAM, TOKEN_PROGRAM

Parsed = dict[str, Any]
_VALIDATOR_INFO = "Va1idator1nfo111111111111111111111111111111"
_STAKE_CONFIG = Pubkey.from_string("StakeConfig11111111111111111111111111111111")
_TABLE_HEADER = 56
"""Bytes before the first address of a lookup table."""
_BUFFER_HEADER, _CODE_HEADER = 37, 45
"""Bytes before the code in a buffer and in a program's data, where there is an authority."""


def parsed_json(key: Pubkey, account: Account, read: AccountReader) -> Parsed | None:
    """The `data` member of a parsed account; None where no node could read it.

    `read` gives other accounts (a token account's mint, the clock) in the same view.
    """
    known = _PROGRAMS.get(account.owner)
    if known is None:
        return None
    name, parse = known
    try:
        parsed = parse(key, account.data, read)
    except (ValueError, IndexError, struct.error):
        return None
    return {"program": name, "parsed": parsed, "space": len(account.data)}


def _lookup_table(_key: Pubkey, data: bytes, _read: AccountReader) -> Parsed:
    reader = Reader(data)
    kind = reader.u32()
    if kind == 0:
        return {"type": "uninitialized"}
    if kind != 1 or len(data) < _TABLE_HEADER or (len(data) - _TABLE_HEADER) % 32:
        raise ValueError("no lookup table")
    deactivation, extended, start = reader.u64(), reader.u64(), reader.u8()
    authority = reader.maybe(reader.key)
    addresses = [str(Pubkey.from_bytes(data[at : at + 32])) for at in range(_TABLE_HEADER, len(data), 32)]
    info: Parsed = {
        "deactivationSlot": str(deactivation),
        "lastExtendedSlot": str(extended),
        "lastExtendedSlotStartIndex": start,
        "addresses": addresses,
    }
    return {"type": "lookupTable", "info": info | ({"authority": authority} if authority else {})}


def _loader(_key: Pubkey, data: bytes, _read: AccountReader) -> Parsed:
    reader = Reader(data)
    kind = reader.u32()
    if kind == 0:
        return {"type": "uninitialized"}
    if kind == 1:
        authority = reader.maybe(reader.key)
        return {"type": "buffer", "info": {"authority": authority} | _code(data, _BUFFER_HEADER, authority)}
    if kind == 2:
        return {"type": "program", "info": {"programData": reader.key()}}
    if kind == 3:
        slot, authority = reader.u64(), reader.maybe(reader.key)
        info = {"slot": slot, "authority": authority} | _code(data, _CODE_HEADER, authority)
        return {"type": "programData", "info": info}
    raise ValueError("no account of the upgradeable loader")


def _code(data: bytes, header: int, authority: str | None) -> Parsed:
    start = header if authority is not None else header - 32
    return {"data": [base64.b64encode(data[start:]).decode(), "base64"]}


def _nonce(_key: Pubkey, data: bytes, _read: AccountReader) -> Parsed:
    reader = Reader(data)
    if reader.u32() > 1 or reader.u32() != 1:
        raise ValueError("no initialised nonce account")
    info = {"authority": reader.key(), "blockhash": str(Hash.from_bytes(reader.take(32)))}
    return {"type": "initialized", "info": info | {"feeCalculator": {"lamportsPerSignature": str(reader.u64())}}}


def _config(key: Pubkey, data: bytes, _read: AccountReader) -> Parsed:
    reader = Reader(data)
    keys = [(reader.key(), reader.flag()) for _ in range(_compact(reader))]
    if key == _STAKE_CONFIG:
        return {"type": "stakeConfig", "info": {"warmupCooldownRate": reader.f64(), "slashPenalty": reader.u8()}}
    if not keys or keys[0][0] != _VALIDATOR_INFO:
        raise ValueError("no configuration that is known")
    named = [{"pubkey": address, "signer": signer} for address, signer in keys]
    return {"type": "validatorInfo", "info": {"keys": named, "configData": json.loads(reader.text())}}


def _compact(reader: Reader) -> int:
    value = shift = 0
    while True:
        part = reader.u8()
        value |= (part & 0x7F) << shift
        if part < 0x80:
            return value
        shift += 7


def _stake(_key: Pubkey, data: bytes, _read: AccountReader) -> Parsed:
    return parse_stake(data)


def _vote(key: Pubkey, data: bytes, _read: AccountReader) -> Parsed:
    return parse_vote(data, str(key))


def _sysvar(key: Pubkey, data: bytes, _read: AccountReader) -> Parsed:
    return parse_sysvar(str(key), data)


def _token(_key: Pubkey, data: bytes, read: AccountReader) -> Parsed:
    return parse_token(data, read)


_PROGRAMS: Mapping[Pubkey, tuple[str, Callable[[Pubkey, bytes, AccountReader], Parsed]]] = {
    Pubkey.from_string("AddressLookupTab1e1111111111111111111111111"): ("address-lookup-table", _lookup_table),
    Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111"): ("bpf-upgradeable-loader", _loader),
    Pubkey.from_string("Config1111111111111111111111111111111111111"): ("config", _config),
    Pubkey.default(): ("nonce", _nonce),
    TOKEN_PROGRAM: ("spl-token", _token),
    TOKEN_2022_PROGRAM: ("spl-token-2022", _token),
    Pubkey.from_string("Stake11111111111111111111111111111111111111"): ("stake", _stake),
    Pubkey.from_string("Sysvar1111111111111111111111111111111111111"): ("sysvar", _sysvar),
    Pubkey.from_string("Vote111111111111111111111111111111111111111"): ("vote", _vote),
}
