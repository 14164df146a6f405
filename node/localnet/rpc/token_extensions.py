"""Extensions of Token-2022 mints and accounts, in the parsed form of `jsonParsed`.

They follow the 165 bytes of an account and one byte for its kind, each as type (u16), length (u16), value. Those of
confidential transfers are told as unparseable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from solders.pubkey import Pubkey

from node.localnet.rpc.bincode import Reader

Parsed = dict[str, Any]
_BASE = 166
_STATES = ("uninitialized", "initialized", "frozen")


def extensions_json(data: bytes) -> list[Parsed]:
    """The extensions of a token account or mint, in their order."""
    found: list[Parsed] = []
    at = _BASE
    while at + 4 <= len(data):
        kind, length = int.from_bytes(data[at : at + 2], "little"), int.from_bytes(data[at + 2 : at + 4], "little")
        value = data[at + 4 : at + 4 + length]
        if kind == 0 or len(value) != length:
            break
        found.append(_extension(kind, value))
        at += 4 + length
    return found


def _extension(kind: int, value: bytes) -> Parsed:
    if kind in _MARKS:
        return {"extension": _MARKS[kind]}
    known = _STATEFUL.get(kind)
    if known is None:
        return {"extension": "unparseableExtension"}
    name, read = known
    try:
        return {"extension": name, "state": read(Reader(value))}
    except ValueError:
        return {"extension": "unparseableExtension"}


def _key(reader: Reader) -> str | None:
    """An address; all zeros stand for none."""
    raw = reader.take(32)
    return str(Pubkey.from_bytes(raw)) if any(raw) else None


def _borsh_text(reader: Reader) -> str:
    return reader.take(reader.u32()).decode()


def _fee(reader: Reader) -> Parsed:
    return {"epoch": reader.u64(), "maximumFee": reader.u64(), "transferFeeBasisPoints": reader.u16()}


def _fee_config(reader: Reader) -> Parsed:
    return {
        "transferFeeConfigAuthority": _key(reader),
        "withdrawWithheldAuthority": _key(reader),
        "withheldAmount": reader.u64(),
        "olderTransferFee": _fee(reader),
        "newerTransferFee": _fee(reader),
    }


def _interest(reader: Reader) -> Parsed:
    return {
        "rateAuthority": _key(reader),
        "initializationTimestamp": reader.i64(),
        "preUpdateAverageRate": reader.i16(),
        "lastUpdateTimestamp": reader.i64(),
        "currentRate": reader.i16(),
    }


def _metadata(reader: Reader) -> Parsed:
    authority, mint = _key(reader), reader.key()
    info: Parsed = {"updateAuthority": authority, "mint": mint}
    info |= {name: _borsh_text(reader) for name in ("name", "symbol", "uri")}
    more = [[_borsh_text(reader), _borsh_text(reader)] for _ in range(reader.u32())]
    return info | {"additionalMetadata": more}


def _group(reader: Reader) -> Parsed:
    return {"updateAuthority": _key(reader), "mint": reader.key(), "size": reader.u64(), "maxSize": reader.u64()}


def _member(reader: Reader) -> Parsed:
    return {"mint": reader.key(), "group": reader.key(), "memberNumber": reader.u64()}


def _pointer(name: str) -> Callable[[Reader], Parsed]:
    return lambda reader: {"authority": _key(reader), name: _key(reader)}


def _scaled(reader: Reader) -> Parsed:
    authority, multiplier, since, new = _key(reader), reader.f64(), reader.i64(), reader.f64()
    return {
        "authority": authority,
        "multiplier": _float_text(multiplier),
        "newMultiplierEffectiveTimestamp": since,
        "newMultiplier": _float_text(new),
    }


def _float_text(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


_MARKS = {7: "immutableOwner", 9: "nonTransferable", 13: "nonTransferableAccount", 27: "pausableAccount"}
_STATEFUL: Mapping[int, tuple[str, Callable[[Reader], Parsed]]] = {
    1: ("transferFeeConfig", _fee_config),
    2: ("transferFeeAmount", lambda reader: {"withheldAmount": reader.u64()}),
    3: ("mintCloseAuthority", lambda reader: {"closeAuthority": _key(reader)}),
    6: ("defaultAccountState", lambda reader: {"accountState": _STATES[min(reader.u8(), 2)]}),
    8: ("memoTransfer", lambda reader: {"requireIncomingTransferMemos": reader.flag()}),
    10: ("interestBearingConfig", _interest),
    11: ("cpiGuard", lambda reader: {"lockCpi": reader.flag()}),
    12: ("permanentDelegate", lambda reader: {"delegate": _key(reader)}),
    14: ("transferHook", _pointer("programId")),
    15: ("transferHookAccount", lambda reader: {"transferring": reader.flag()}),
    18: ("metadataPointer", _pointer("metadataAddress")),
    19: ("tokenMetadata", _metadata),
    20: ("groupPointer", _pointer("groupAddress")),
    21: ("tokenGroup", _group),
    22: ("groupMemberPointer", _pointer("memberAddress")),
    23: ("tokenGroupMember", _member),
    25: ("scaledUiAmountConfig", _scaled),
    26: ("pausableConfig", lambda reader: {"authority": _key(reader), "paused": reader.flag()}),
}
