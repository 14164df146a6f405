"""Sysvar accounts in the parsed form of `jsonParsed`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from node.localnet.rpc.bincode import Reader

Parsed = dict[str, Any]
_HISTORY_BITS = 1024 * 1024


def parse_sysvar(key: str, data: bytes) -> Parsed:
    """Type and fields. Raises ValueError for what is no sysvar that is known."""
    known = _SYSVARS.get(key)
    if known is None:
        raise ValueError("no sysvar")
    kind, parse = known
    return {"type": kind, "info": parse(Reader(data))}


def _clock(reader: Reader) -> Parsed:
    slot, start, epoch, schedule, now = reader.u64(), reader.i64(), reader.u64(), reader.u64(), reader.i64()
    return {
        "slot": slot,
        "epoch": epoch,
        "epochStartTimestamp": start,
        "leaderScheduleEpoch": schedule,
        "unixTimestamp": now,
    }


def _epoch_schedule(reader: Reader) -> Parsed:
    return {
        "slotsPerEpoch": reader.u64(),
        "leaderScheduleSlotOffset": reader.u64(),
        "warmup": reader.flag(),
        "firstNormalEpoch": reader.u64(),
        "firstNormalSlot": reader.u64(),
    }


def _rent(reader: Reader) -> Parsed:
    return {
        "lamportsPerByteYear": str(reader.u64()),
        "exemptionThreshold": reader.f64(),
        "burnPercent": reader.u8(),
    }


def _recent_blockhashes(reader: Reader) -> list[Parsed]:
    return reader.many(
        lambda: {"blockhash": reader.hash(), "feeCalculator": {"lamportsPerSignature": str(reader.u64())}}
    )


def _slot_hashes(reader: Reader) -> list[Parsed]:
    return reader.many(lambda: {"slot": reader.u64(), "hash": reader.hash()})


def _slot_history(reader: Reader) -> Parsed:
    words = reader.many(reader.u64) if reader.flag() else []
    if reader.u64() != _HISTORY_BITS or len(words) * 64 != _HISTORY_BITS:
        raise ValueError("no slot history")
    bits = "".join(f"{word:064b}"[::-1] for word in words)
    return {"nextSlot": reader.u64(), "bits": bits}


def _stake_history(reader: Reader) -> list[Parsed]:
    def entry() -> Parsed:
        epoch = reader.u64()
        stakes = {"effective": reader.u64(), "activating": reader.u64(), "deactivating": reader.u64()}
        return {"epoch": epoch, "stakeHistory": stakes}

    return reader.many(entry)


def _last_restart(reader: Reader) -> Parsed:
    return {"lastRestartSlot": reader.u64()}


def _epoch_rewards(reader: Reader) -> Parsed:
    return {
        "distributionStartingBlockHeight": reader.u64(),
        "numPartitions": reader.u64(),
        "parentBlockhash": reader.hash(),
        "totalPoints": str(reader.u128()),
        "totalRewards": str(reader.u64()),
        "distributedRewards": str(reader.u64()),
        "active": reader.flag(),
    }


_SYSVARS: Mapping[str, tuple[str, Callable[[Reader], Any]]] = {
    "SysvarC1ock11111111111111111111111111111111": ("clock", _clock),
    "SysvarEpochSchedu1e111111111111111111111111": ("epochSchedule", _epoch_schedule),
    "SysvarRent111111111111111111111111111111111": ("rent", _rent),
    "SysvarRecentB1ockHashes11111111111111111111": ("recentBlockhashes", _recent_blockhashes),
    "SysvarS1otHashes111111111111111111111111111": ("slotHashes", _slot_hashes),
    "SysvarS1otHistory11111111111111111111111111": ("slotHistory", _slot_history),
    "SysvarStakeHistory1111111111111111111111111": ("stakeHistory", _stake_history),
    "SysvarLastRestartS1ot1111111111111111111111": ("lastRestartSlot", _last_restart),
    "SysvarEpochRewards1111111111111111111111111": ("epochRewards", _epoch_rewards),
}
