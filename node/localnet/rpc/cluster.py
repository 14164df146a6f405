"""Methods about the cluster itself: slots, blockhashes, epochs, fees."""

from __future__ import annotations

from typing import Any

from solders.hash import Hash

from node.localnet.rpc.context import VERSION, Methods, with_context
from node.localnet.rpc.encodings import Undecodable, fixed
from node.localnet.rpc.errors import invalid_params
from node.localnet.rpc.params import Params, pubkey
from node.localnet.rpc.prices import PriceTable
from node.localnet.slots import SLOTS_PER_EPOCH, Commitment
from node.localnet.validator import Validator

_FEE_SLOTS = 150
_MOST_FEE_ACCOUNTS = 128


class ClusterMethods:
    """getSlot and its like."""

    def __init__(self, validator: Validator) -> None:
        self._validator = validator
        self._prices = PriceTable(validator.ledger)

    def table(self) -> Methods:
        """Methods by name."""
        return {
            "getHealth": lambda _: "ok",
            "getVersion": lambda _: VERSION,
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
        """The lowest price that was paid in each of the last blocks with transactions, for the accounts named."""
        keys = [pubkey(value) for value in params.items(0, _MOST_FEE_ACCOUNTS)] if params.get(0) is not None else []
        final = self._validator.slots.at(Commitment.FINALIZED).slot
        # What stands in the first slot is genesis, which nobody paid for.
        filled = [slot for slot in self._validator.ledger.filled_slots() if 0 < slot <= final][-_FEE_SLOTS:]
        return [{"slot": slot, "prioritizationFee": self._prices.lowest(slot, keys)} for slot in filled]
