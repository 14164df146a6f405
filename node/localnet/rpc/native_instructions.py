"""Instructions of the stake, vote and upgradeable loader programs in the parsed form of `jsonParsed`.

Names and fields are those of a node's transaction status (agave 3.1). Votes in their compact forms stay bytes, and
so does the older loader.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from node.localnet.rpc.bincode import Reader

Parsed = dict[str, Any]
Fields = Callable[[Reader], Parsed]
_Shape = tuple[str, tuple[str, ...], tuple[str, ...], Fields]
"""Type, the accounts that must be there, those that may follow, and what the data holds."""


def parse_stake(accounts: Sequence[str], data: bytes) -> Parsed:
    """Type and fields of an instruction of the stake program. Raises ValueError for what is none."""
    return _parse(_STAKE, accounts, data)


def parse_vote(accounts: Sequence[str], data: bytes) -> Parsed:
    """Type and fields of an instruction of the vote program. Raises ValueError for what is none."""
    return _parse(_VOTE, accounts, data)


def parse_loader(accounts: Sequence[str], data: bytes) -> Parsed:
    """Type and fields of an instruction of the upgradeable loader. Raises ValueError for what is none."""
    parsed = _parse(_LOADER, accounts, data)
    absent = dict.fromkeys(_NULLED.get(parsed["type"], ()))
    return parsed | {"info": absent | parsed["info"]}


def _parse(shapes: Mapping[int, _Shape], accounts: Sequence[str], data: bytes) -> Parsed:
    reader = Reader(data)
    shape = shapes.get(reader.u32())
    if shape is None:
        raise ValueError("no instruction that is known")
    kind, needed, more, fields = shape
    if len(accounts) < len(needed):
        raise ValueError("too few accounts")
    info = dict(zip((*needed, *more), accounts, strict=False)) | fields(reader)
    return {"type": kind, "info": info} if info else {"type": kind}


def _nothing(_reader: Reader) -> Parsed:
    return {}


def _lamports(reader: Reader) -> Parsed:
    return {"lamports": reader.u64()}


def _authority(reader: Reader, names: tuple[str, str] = ("Staker", "Withdrawer")) -> str:
    number = reader.u32()
    if number > 1:
        raise ValueError("no authority that is known")
    return names[number]


def _initialize(reader: Reader) -> Parsed:
    return {
        "authorized": {"staker": reader.key(), "withdrawer": reader.key()},
        "lockup": {"unixTimestamp": reader.i64(), "epoch": reader.u64(), "custodian": reader.key()},
    }


def _authorize(reader: Reader) -> Parsed:
    return {"newAuthority": reader.key(), "authorityType": _authority(reader)}


def _lockup(reader: Reader) -> Parsed:
    found: Parsed = {"unixTimestamp": reader.maybe(reader.i64), "epoch": reader.maybe(reader.u64)}
    found["custodian"] = reader.maybe(reader.key)
    return {"lockup": {name: value for name, value in found.items() if value is not None}}


def _seeded(reader: Reader) -> Parsed:
    info = {"newAuthorized": reader.key()}
    return info | _seeded_checked(reader)


def _seeded_checked(reader: Reader) -> Parsed:
    return {"authorityType": _authority(reader), "authoritySeed": reader.text(), "authorityOwner": reader.key()}


_CLOCK, _HISTORY = "clockSysvar", "stakeHistorySysvar"
_STAKE: Mapping[int, _Shape] = {
    0: ("initialize", ("stakeAccount", "rentSysvar"), (), _initialize),
    1: ("authorize", ("stakeAccount", _CLOCK, "authority"), ("custodian",), _authorize),
    2: (
        "delegate",
        ("stakeAccount", "voteAccount", _CLOCK, _HISTORY, "stakeConfigAccount", "stakeAuthority"),
        (),
        _nothing,
    ),
    3: ("split", ("stakeAccount", "newSplitAccount", "stakeAuthority"), (), _lamports),
    4: (
        "withdraw",
        ("stakeAccount", "destination", _CLOCK, _HISTORY, "withdrawAuthority"),
        ("custodian",),
        _lamports,
    ),
    5: ("deactivate", ("stakeAccount", _CLOCK, "stakeAuthority"), (), _nothing),
    6: ("setLockup", ("stakeAccount", "custodian"), (), _lockup),
    7: ("merge", ("destination", "source", _CLOCK, _HISTORY, "stakeAuthority"), (), _nothing),
    8: ("authorizeWithSeed", ("stakeAccount", "authorityBase"), (_CLOCK, "custodian"), _seeded),
    9: ("initializeChecked", ("stakeAccount", "rentSysvar", "staker", "withdrawer"), (), _nothing),
    10: (
        "authorizeChecked",
        ("stakeAccount", _CLOCK, "authority", "newAuthority"),
        ("custodian",),
        lambda reader: {"authorityType": _authority(reader)},
    ),
    11: (
        "authorizeCheckedWithSeed",
        ("stakeAccount", "authorityBase", _CLOCK, "newAuthorized"),
        ("custodian",),
        _seeded_checked,
    ),
    13: ("getMinimumDelegation", (), (), _nothing),
    14: ("deactivateDelinquent", ("stakeAccount", "voteAccount", "referenceVoteAccount"), (), _nothing),
    15: (
        "redelegate",
        ("stakeAccount", "newStakeAccount", "voteAccount", "stakeConfigAccount", "stakeAuthority"),
        (),
        _nothing,
    ),
    16: ("moveStake", ("source", "destination", "stakeAuthority"), (), _lamports),
    17: ("moveLamports", ("source", "destination", "stakeAuthority"), (), _lamports),
}


def _vote_start(reader: Reader) -> Parsed:
    reader.key()  # the node, which stands among the accounts as well
    return {"authorizedVoter": reader.key(), "authorizedWithdrawer": reader.key(), "commission": reader.u8()}


def _vote_authority(reader: Reader) -> Parsed:
    return {"newAuthority": reader.key(), "authorityType": _authority(reader, ("Voter", "Withdrawer"))}


def _vote_checked(reader: Reader) -> Parsed:
    return {"authorityType": _authority(reader, ("Voter", "Withdrawer"))}


def _votes(reader: Reader) -> Parsed:
    vote = {"slots": reader.many(reader.u64), "hash": reader.hash(), "timestamp": reader.maybe(reader.i64)}
    return {"vote": vote}


def _votes_switched(reader: Reader) -> Parsed:
    return _votes(reader) | {"hash": reader.hash()}


_VOTER = ("voteAccount", "slotHashesSysvar", _CLOCK, "voteAuthority")
_VOTE: Mapping[int, _Shape] = {
    0: ("initialize", ("voteAccount", "rentSysvar", _CLOCK, "node"), (), _vote_start),
    1: ("authorize", ("voteAccount", _CLOCK, "authority"), (), _vote_authority),
    2: ("vote", _VOTER, (), _votes),
    3: ("withdraw", ("voteAccount", "destination", "withdrawAuthority"), (), _lamports),
    4: ("updateValidatorIdentity", ("voteAccount", "newValidatorIdentity", "withdrawAuthority"), (), _nothing),
    5: (
        "updateCommission",
        ("voteAccount", "withdrawAuthority"),
        (),
        lambda reader: {"commission": reader.u8()},
    ),
    6: ("voteSwitch", _VOTER, (), _votes_switched),
    7: ("authorizeChecked", ("voteAccount", _CLOCK, "authority", "newAuthority"), (), _vote_checked),
}


def _written(reader: Reader) -> Parsed:
    return {"offset": reader.u32(), "bytes": base64.b64encode(reader.take(reader.u64())).decode()}


def _additional(reader: Reader) -> Parsed:
    return {"additionalBytes": reader.u32()}


_DEPLOYED = (
    "payerAccount",
    "programDataAccount",
    "programAccount",
    "bufferAccount",
    "rentSysvar",
    _CLOCK,
    "systemProgram",
    "authority",
)
_UPGRADED = (
    "programDataAccount",
    "programAccount",
    "bufferAccount",
    "spillAccount",
    "rentSysvar",
    _CLOCK,
    "authority",
)
_CODE = ("programDataAccount", "programAccount")
_LOADER: Mapping[int, _Shape] = {
    0: ("initializeBuffer", ("account",), ("authority",), _nothing),
    1: ("write", ("account", "authority"), (), _written),
    2: ("deployWithMaxDataLen", _DEPLOYED, (), lambda reader: {"maxDataLen": reader.u64()}),
    3: ("upgrade", _UPGRADED, (), _nothing),
    4: ("setAuthority", ("account", "authority"), ("newAuthority",), _nothing),
    5: ("close", ("account", "recipient", "authority"), ("programAccount",), _nothing),
    6: ("extendProgram", _CODE, ("systemProgram", "payerAccount"), _additional),
    7: ("setAuthorityChecked", ("account", "authority", "newAuthority"), (), _nothing),
    8: ("migrate", (*_CODE, "authority"), (), _nothing),
    9: ("extendProgramChecked", (*_CODE, "authority"), ("systemProgram", "payerAccount"), _additional),
}
_NULLED = {"setAuthority": ("newAuthority",), "close": ("programAccount",)} | dict.fromkeys(
    ("extendProgram", "extendProgramChecked"), ("systemProgram", "payerAccount")
)
"""Accounts that stand as null where they are not there, instead of being left out."""
