"""Stake and vote accounts in the parsed form of `jsonParsed`."""

from __future__ import annotations

from typing import Any

from node.localnet.rpc.bincode import Reader

Parsed = dict[str, Any]
_VOTE_VERSIONS = (1, 2)
"""Vote states before and with the latency of each vote, the ones that clusters hold."""
_PRIOR_VOTERS = 32 * (32 + 8 + 8) + 8 + 1


def parse_stake(data: bytes) -> Parsed:
    """Type and fields of a stake account. Raises ValueError for what is none."""
    reader = Reader(data)
    kind = reader.u32()
    if kind in (0, 3):
        return {"type": "uninitialized" if kind == 0 else "rewardsPool"}
    if kind not in (1, 2):
        raise ValueError("no stake account")
    meta = {
        "rentExemptReserve": str(reader.u64()),
        "authorized": {"staker": reader.key(), "withdrawer": reader.key()},
        "lockup": {"unixTimestamp": reader.i64(), "epoch": reader.u64(), "custodian": reader.key()},
    }
    if kind == 1:
        return {"type": "initialized", "info": {"meta": meta, "stake": None}}
    delegation = {
        "voter": reader.key(),
        "stake": str(reader.u64()),
        "activationEpoch": str(reader.u64()),
        "deactivationEpoch": str(reader.u64()),
        "warmupCooldownRate": reader.f64(),
    }
    stake = {"delegation": delegation, "creditsObserved": reader.u64()}
    return {"type": "delegated", "info": {"meta": meta, "stake": stake}}


def parse_vote(data: bytes, key: str) -> Parsed:
    """Type and fields of a vote account. Raises ValueError for what is none."""
    reader = Reader(data)
    version = reader.u32()
    if version not in _VOTE_VERSIONS:
        raise ValueError("no vote account of a version that is read")
    node, withdrawer, commission = reader.key(), reader.key(), reader.u8()

    def vote() -> Parsed:
        latency = reader.u8() if version == 2 else 0
        return {"latency": latency, "slot": reader.u64(), "confirmationCount": reader.u32()}

    votes, root = reader.many(vote), reader.maybe(reader.u64)
    voters = reader.many(lambda: {"epoch": reader.u64(), "authorizedVoter": reader.key()})
    reader.take(_PRIOR_VOTERS)
    earned = reader.many(
        lambda: {"epoch": reader.u64(), "credits": str(reader.u64()), "previousCredits": str(reader.u64())}
    )
    stamp = {"slot": reader.u64(), "timestamp": reader.i64()}
    info = {
        "nodePubkey": node,
        "authorizedWithdrawer": withdrawer,
        "commission": commission,
        "votes": votes,
        "rootSlot": root,
        "authorizedVoters": voters,
        "priorVoters": [],
        "epochCredits": earned,
        "lastTimestamp": stamp,
        # What newer vote accounts hold beside, as a node fills it in for older ones.
        "inflationRewardsCommissionBps": commission * 100,
        "inflationRewardsCollector": key,
        "blockRevenueCollector": node,
        "blockRevenueCommissionBps": 10_000,
        "pendingDelegatorRewards": "0",
        "blsPubkeyCompressed": None,
    }
    return {"type": "vote", "info": info}
