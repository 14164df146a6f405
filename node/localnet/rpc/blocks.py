"""Methods that read blocks of the past."""

from __future__ import annotations

from typing import Any

from solders.hash import Hash

from node.localnet.rpc.context import Methods
from node.localnet.rpc.errors import (
    BLOCK_CLEANED_UP,
    BLOCK_NOT_AVAILABLE,
    SLOT_SKIPPED,
    RpcError,
    invalid_params,
)
from node.localnet.rpc.params import Config, Params, settled
from node.localnet.rpc.transactions_json import TransactionStyle
from node.localnet.slots import Block, Commitment
from node.localnet.validator import Validator

_MOST_BLOCKS = 500_000


class BlockMethods:
    """getBlock and its like."""

    def __init__(self, validator: Validator) -> None:
        self._validator = validator

    def table(self) -> Methods:
        """Methods by name."""
        return {
            "getBlock": self.block,
            "getBlocks": self.blocks,
            "getBlocksWithLimit": self.blocks_with_limit,
            "getBlockTime": self.block_time,
            "getFirstAvailableBlock": lambda _: self._validator.slots.oldest().slot,
            "minimumLedgerSlot": lambda _: self._validator.slots.oldest().slot,
        }

    def block(self, params: Params) -> Any:
        """One block with its transactions, as far as asked."""
        slot = params.integer(0)
        second = params.get(1)
        config = Config({"encoding": second}) if isinstance(second, str) else params.config(1)
        details = config.text("transactionDetails", "full")
        style = TransactionStyle.of(config)
        block = self._find(slot, settled(config.commitment()))
        parent = self._validator.slots.find(block.parent)
        body: dict[str, Any] = {
            "blockHeight": block.height,
            "blockTime": block.time,
            "blockhash": str(block.blockhash),
            "parentSlot": block.parent,
            "previousBlockhash": str(parent.blockhash if parent else Hash.default()),
        }
        if details != "none":
            body |= self._transactions(block, details, style)
        if config.get("rewards") is not False:
            body["rewards"] = []
        return body

    def _transactions(self, block: Block, details: str, style: TransactionStyle) -> dict[str, Any]:
        ledger = self._validator.ledger
        if block.slot <= ledger.incomplete_upto:
            raise RpcError(
                BLOCK_CLEANED_UP,
                f"Block {block.slot} cleaned up, does not exist on node. "
                f"First available block: {ledger.incomplete_upto + 1}",
            )
        records = ledger.in_slot(block.slot)
        if details == "signatures":
            return {"signatures": [record.signature for record in records]}
        write = style.apply if details == "full" else style.accounts_only
        return {"transactions": [write(record) for record in records]}

    def blocks(self, params: Params) -> Any:
        """Slots with a block from the first to the last named (or the view's newest), both included."""
        first, second = params.integer(0), params.get(1)
        config = params.config(2)
        if params.get(2) is None and isinstance(second, dict):
            config = Config(second)
        newest = self._newest(config)
        last = min(second if isinstance(second, int) else first + _MOST_BLOCKS, newest)
        if last - first > _MOST_BLOCKS:
            raise invalid_params(f"Slot range too large; max {_MOST_BLOCKS}")
        return [block.slot for block in self._validator.slots.between(first - 1, last)]

    def blocks_with_limit(self, params: Params) -> Any:
        """So many slots with a block, from the first on."""
        first, limit = params.integer(0), params.integer(1)
        if limit > _MOST_BLOCKS:
            raise invalid_params(f"Limit too large; max {_MOST_BLOCKS}")
        newest = self._newest(params.config(2))
        return [block.slot for block in self._validator.slots.between(first - 1, newest)[:limit]]

    def block_time(self, params: Params) -> Any:
        """Unix seconds of a slot's block."""
        return self._find(params.integer(0), Commitment.PROCESSED).time

    def _newest(self, config: Config) -> int:
        return config.reached(self._validator.slots.at(settled(config.commitment()))).slot

    def _find(self, slot: int, commitment: Commitment) -> Block:
        slots = self._validator.slots
        if slot > slots.at(commitment).slot:
            raise RpcError(BLOCK_NOT_AVAILABLE, f"Block not available for slot {slot}")
        if slot < slots.oldest().slot:
            raise RpcError(
                BLOCK_CLEANED_UP,
                f"Block {slot} cleaned up, does not exist on node. First available block: {slots.oldest().slot}",
            )
        block = slots.find(slot)
        if block is None:
            raise RpcError(SLOT_SKIPPED, f"Slot {slot} was skipped, or missing due to ledger jump to recent snapshot")
        return block
