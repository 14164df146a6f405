"""Methods about the cluster itself: slots, blockhashes, epochs, fees."""

from __future__ import annotations

from typing import Any

from solders.hash import Hash

from node.localnet.rpc.context import API_VERSION, FEATURE_SET, Methods, with_context
from node.localnet.rpc.encodings import Undecodable, fixed
from node.localnet.rpc.errors import invalid_params
from node.localnet.rpc.params import Params, pubkey
from node.localnet.slots import SLOTS_PER_EPOCH, Commitment
from node.localnet.validator import Validator

_FEE_SLOTS = 150
_MOST_FEE_ACCOUNTS = 128


class ClusterMethods:
    """getSlot and its like."""

    def __init__(self, validator: Validator) -> None:
        self._validator = validator

    def table(self) -> Methods:
        """Methods by name."""
        return {
            "getHealth": lambda _: "ok",
            "getVersion": lambda _: {"solana-core": API_VERSION, "feature-set": FEATURE_SET},
            "getGenesisHash": lambda _: str(self._validator.genesis_hash),
            "getSlot": self.slot,
            "getBlockHeight": self.block_height,
            "getEpochInfo": self.epoch_info,
            "getEpochSchedule": self.epoch_schedule,
            "getTransactionCount": self.transaction_count,
            "getLatestBlockhash": self.latest_blockhash,
            "isBlockhashValid": self.blockhash_valid,
            "getRecentPrioritizationFees": self.prioritization_fees,
        }

    def slot(self, params: Params) -> Any:
        """The newest slot of a view."""
        return params.config(0).view(self._validator.slots).slot

    def block_height(self, params: Params) -> Any:
        """The height of a view's newest block."""
        return params.config(0).view(self._validator.slots).height

    def epoch_info(self, params: Params) -> Any:
        """Where the view stands in its epoch."""
        block = params.config(0).view(self._validator.slots)
        return {
            "absoluteSlot": block.slot,
            "blockHeight": block.height,
            "epoch": block.slot // SLOTS_PER_EPOCH,
            "slotIndex": block.slot % SLOTS_PER_EPOCH,
            "slotsInEpoch": SLOTS_PER_EPOCH,
            "transactionCount": self._validator.transaction_count,
        }

    def epoch_schedule(self, _params: Params) -> Any:
        """Epochs of fixed length from the first slot."""
        return {
            "slotsPerEpoch": SLOTS_PER_EPOCH,
            "leaderScheduleSlotOffset": SLOTS_PER_EPOCH,
            "warmup": False,
            "firstNormalEpoch": 0,
            "firstNormalSlot": 0,
        }

    def transaction_count(self, params: Params) -> Any:
        """Transactions in blocks since genesis."""
        params.config(0).view(self._validator.slots)
        return self._validator.transaction_count

    def latest_blockhash(self, params: Params) -> Any:
        """The newest blockhash of a view and the block height up to which it may be used."""
        block = params.config(0).view(self._validator.slots)
        value = {
            "blockhash": str(block.blockhash),
            "lastValidBlockHeight": self._validator.last_valid_height(block),
        }
        return with_context(block, value)

    def blockhash_valid(self, params: Params) -> Any:
        """Whether a view still accepts transactions that name the hash."""
        try:
            blockhash = Hash.from_bytes(fixed(params.text(0), 32))
        except Undecodable as error:
            raise invalid_params(str(error)) from None
        block = params.config(1).view(self._validator.slots)
        return with_context(block, self._validator.blockhashes.valid_at(blockhash, block.height))

    def prioritization_fees(self, params: Params) -> Any:
        """The lowest fee that was paid in each recent slot: nothing, since blocks here are never full."""
        if params.get(0) is not None:
            for value in params.items(0, _MOST_FEE_ACCOUNTS):
                pubkey(value)
        slots = self._validator.slots
        head = slots.at(Commitment.PROCESSED).slot
        return [{"slot": block.slot, "prioritizationFee": 0} for block in slots.between(head - _FEE_SLOTS, head)]
