"""Methods about the nodes of the cluster: here one node leads every slot and holds all the stake."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from solders.hash import Hash
from solders.keypair import Keypair

from node.localnet.rpc.context import API_VERSION, FEATURE_SET, Methods, with_context
from node.localnet.rpc.errors import NO_SNAPSHOT, RpcError, invalid_params
from node.localnet.rpc.params import Config, Params, pubkey
from node.localnet.slots import SLOTS_PER_EPOCH, Block, Commitment
from node.localnet.validator import Validator

STAKE = 10**15 - 2_282_880
"""Lamports, the node's: what a test validator stakes, less the rent of the account."""
_MOST_LEADERS = 5_000
_CONFIRMATIONS = 32
"""Of a vote that can no longer be taken back."""
_DELINQUENT = 128
"""Slots without a vote after which a node is delinquent."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The one node's addresses. Nobody holds their keys."""

    node: str
    vote: str

    @staticmethod
    def of(genesis: Hash) -> Identity:
        """The addresses on the chain with this genesis."""
        return Identity(_address(genesis, b"identity"), _address(genesis, b"vote"))


def _address(genesis: Hash, role: bytes) -> str:
    return str(Keypair.from_seed(hashlib.sha256(role + bytes(genesis)).digest()).pubkey())


class NetworkMethods:
    """getClusterNodes and its like. `places` gives HOST:PORT of the RPC server and of the sockets."""

    def __init__(self, validator: Validator, places: Callable[[], tuple[str, str]]) -> None:
        self._validator = validator
        self._identity = Identity.of(validator.genesis_hash)
        self._places = places

    def table(self) -> Methods:
        """Methods by name."""
        return {
            "getIdentity": lambda _: {"identity": self._identity.node},
            "getClusterNodes": self.cluster_nodes,
            "getVoteAccounts": self.vote_accounts,
            "getSlotLeader": self.slot_leader,
            "getSlotLeaders": self.slot_leaders,
            "getLeaderSchedule": self.leader_schedule,
            "getBlockProduction": self.block_production,
            "getBlockCommitment": self.block_commitment,
            # The one who makes all blocks receives none from others.
            "getMaxRetransmitSlot": lambda _: 0,
            "getMaxShredInsertSlot": lambda _: 0,
            "getHighestSnapshotSlot": self.snapshot_slot,
        }

    def cluster_nodes(self, _params: Params) -> Any:
        """The one node. It has no gossip and takes transactions by RPC only."""
        rpc, pubsub = self._places()
        unused = ("gossip", "tvu", "tpu", "tpuQuic", "tpuForwards", "tpuForwardsQuic", "tpuVote", "serveRepair")
        return [
            {
                "pubkey": self._identity.node,
                **dict.fromkeys(unused),
                "rpc": rpc,
                "pubsub": pubsub,
                "version": API_VERSION,
                "featureSet": FEATURE_SET,
                "shredVersion": int.from_bytes(bytes(self._validator.genesis_hash)[:2], "big"),
            }
        ]

    def vote_accounts(self, params: Params) -> Any:
        """The one vote account, which votes for every block."""
        config = params.config(0)
        wanted = config.get("votePubkey")
        if wanted is not None and str(pubkey(wanted)) != self._identity.vote:
            return {"current": [], "delinquent": []}
        slots = self._validator.slots
        block = slots.at(config.commitment())
        row = {
            "votePubkey": self._identity.vote,
            "nodePubkey": self._identity.node,
            "activatedStake": STAKE,
            "commission": 0,
            "epochVoteAccount": True,
            "epochCredits": [[_epoch(block.slot), block.height, 0]],
            "lastVote": max(block.parent, 0),
            "rootSlot": slots.at(Commitment.FINALIZED).slot,
        }
        distance = config.integer("delinquentSlotDistance")
        distance = _DELINQUENT if distance is None else distance
        current = block.parent > block.slot - distance if block.slot >= distance else block.parent > 0
        return {"current": [row] if current else [], "delinquent": [] if current else [row]}

    def slot_leader(self, params: Params) -> Any:
        """Who leads a view's newest slot."""
        params.config(0).view(self._validator.slots)
        return self._identity.node

    def slot_leaders(self, params: Params) -> Any:
        """Who leads so many slots from the first on."""
        first, limit = params.integer(0), params.integer(1)
        if limit > _MOST_LEADERS:
            raise invalid_params(f"Invalid limit; max {_MOST_LEADERS}")
        if limit:
            self._require_schedule(first, first + limit - 1)
        return [self._identity.node] * limit

    def _require_schedule(self, first: int, last: int) -> None:
        # A leader schedule is made one epoch ahead.
        known = _epoch(self._validator.slots.at(Commitment.FINALIZED).slot) + 1
        if _epoch(last) > known:
            missing = max(_epoch(first), known + 1)
            raise invalid_params(f"Invalid slot range: leader schedule for epoch {missing} is unavailable")

    def leader_schedule(self, params: Params) -> Any:
        """Which slots of a slot's epoch each node leads, null for an epoch too far ahead."""
        wanted = params.get(0)
        config = Config(wanted) if isinstance(wanted, dict) else params.config(1)
        identity = config.get("identity")
        if identity is not None:
            identity = str(pubkey(identity))
        block = self._validator.slots.at(config.commitment())
        slot = wanted if isinstance(wanted, int) else block.slot
        if _epoch(slot) > _epoch(block.slot) + 1:
            return None
        if identity not in (None, self._identity.node):
            return {}
        return {self._identity.node: list(range(SLOTS_PER_EPOCH))}

    def block_production(self, params: Params) -> Any:
        """How many slots a node led, and how many blocks it made, in a range of this epoch."""
        config = params.config(0)
        identity = config.get("identity")
        if identity is not None:
            identity = str(pubkey(identity))
        block = self._validator.slots.at(config.commitment())
        first, last = self._range(config, block)
        made = len(self._validator.slots.between(first - 1, last))
        named = {} if identity not in (None, self._identity.node) else {self._identity.node: [last - first + 1, made]}
        return with_context(block, {"byIdentity": named, "range": {"firstSlot": first, "lastSlot": last}})

    def _range(self, config: Config, block: Block) -> tuple[int, int]:
        oldest = self._validator.slots.oldest().slot
        asked = config.get("range")
        if asked is None:
            return max(_epoch(block.slot) * SLOTS_PER_EPOCH, oldest), block.slot
        first, last = asked["firstSlot"], asked.get("lastSlot")
        last = block.slot if last is None else last
        if last < first:
            raise invalid_params(f"lastSlot, {last}, cannot be less than firstSlot, {first}")
        if first < oldest:
            raise invalid_params(f"firstSlot, {first}, is too small; min {oldest}")
        if last > block.slot:
            raise invalid_params(f"lastSlot, {last}, is too large; max {block.slot}")
        return first, last

    def block_commitment(self, params: Params) -> Any:
        """How much stake has voted for a block with how many confirmations; null once it is final, or not there."""
        slot, slots = params.integer(0), self._validator.slots
        votes: list[int] | None = None
        if slots.at(Commitment.FINALIZED).slot < slot <= slots.head.slot and slots.find(slot) is not None:
            after = len(slots.between(slot, slots.head.slot))
            votes = [0] * _CONFIRMATIONS
            votes[min(after, _CONFIRMATIONS - 1)] = STAKE
        return {"commitment": votes, "totalStake": STAKE}

    def snapshot_slot(self, _params: Params) -> Any:
        """The node makes no snapshots that another could start from."""
        raise RpcError(NO_SNAPSHOT, "No snapshot")


def _epoch(slot: int) -> int:
    return slot // SLOTS_PER_EPOCH
