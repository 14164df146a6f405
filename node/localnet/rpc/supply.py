"""Methods about all lamports there are, and how many more a cluster would pay to those who stake."""

from __future__ import annotations

import heapq
from typing import Any

from node.localnet.rpc.context import Methods, with_context
from node.localnet.rpc.errors import BLOCK_CLEANED_UP, BLOCK_NOT_AVAILABLE, RpcError, invalid_params
from node.localnet.rpc.params import Params, pubkey
from node.localnet.slots import SLOTS_PER_EPOCH, Commitment
from node.localnet.validator import Validator

_LARGEST = 20
_SLOTS_PER_YEAR = 78_892_314.984
"""Of 400 ms, in a tropical year."""
_INITIAL, _TERMINAL, _TAPER, _FOUNDATION, _FOUNDATION_YEARS = 0.08, 0.015, 0.15, 0.05, 7.0
_MOST_SAMPLES = 720
_SAMPLE_SECONDS = 60


class SupplyMethods:
    """getSupply and its like. No rewards are paid here: the rates are what a cluster of this age would pay."""

    def __init__(self, validator: Validator) -> None:
        self._validator = validator

    def table(self) -> Methods:
        """Methods by name."""
        return {
            "getSupply": self.supply,
            "getLargestAccounts": self.largest_accounts,
            "getInflationGovernor": self.inflation_governor,
            "getInflationRate": self.inflation_rate,
            "getInflationReward": self.inflation_reward,
            "getStakeMinimumDelegation": self.minimum_delegation,
            "getRecentPerformanceSamples": self.performance_samples,
        }

    def supply(self, params: Params) -> Any:
        """All lamports. Every account circulates: the foundation's accounts of the public clusters are not here."""
        block = self._validator.slots.at(params.config(0).commitment())
        total = sum(account.lamports for _, account in self._validator.bank.holders(block.slot))
        return with_context(
            block, {"total": total, "circulating": total, "nonCirculating": 0, "nonCirculatingAccounts": []}
        )

    def largest_accounts(self, params: Params) -> Any:
        """The 20 accounts that hold most lamports."""
        config = params.config(0)
        block = self._validator.slots.at(config.commitment())
        held = (
            (account.lamports, str(key))
            for key, account in self._validator.bank.holders(block.slot)
            if config.get("filter") != "nonCirculating"
        )
        rows = heapq.nlargest(_LARGEST, held)
        return with_context(block, [{"address": address, "lamports": lamports} for lamports, address in rows])

    def inflation_governor(self, params: Params) -> Any:
        """The inflation schedule of a public cluster."""
        params.config(0).commitment()
        return {
            "initial": _INITIAL,
            "terminal": _TERMINAL,
            "taper": _TAPER,
            "foundation": _FOUNDATION,
            "foundationTerm": _FOUNDATION_YEARS,
        }

    def inflation_rate(self, _params: Params) -> Any:
        """The rates of this epoch."""
        epoch = self._validator.slots.at(Commitment.FINALIZED).slot // SLOTS_PER_EPOCH
        years = epoch * SLOTS_PER_EPOCH / _SLOTS_PER_YEAR
        total = max(_INITIAL * (1.0 - _TAPER) ** years, _TERMINAL)
        foundation = total * _FOUNDATION if years < _FOUNDATION_YEARS else 0.0
        return {"total": total, "validator": total - foundation, "foundation": foundation, "epoch": epoch}

    def inflation_reward(self, params: Params) -> Any:
        """What stakes were paid for an epoch, which is nothing; an error while that epoch has not ended."""
        keys = [pubkey(value) for value in params.get(0)]
        config, slots = params.config(1), self._validator.slots
        epoch = config.integer("epoch")
        if epoch is None:
            epoch = max(config.view(slots).slot // SLOTS_PER_EPOCH - 1, 0)
        first, oldest = (epoch + 1) * SLOTS_PER_EPOCH, slots.oldest().slot
        if first < oldest:
            message = f"Block {first} cleaned up, does not exist on node. First available block: {oldest}"
            raise RpcError(BLOCK_CLEANED_UP, message)
        if first > config.view(slots).slot:
            raise RpcError(BLOCK_NOT_AVAILABLE, f"Block not available for slot {first}")
        return [None] * len(keys)

    def minimum_delegation(self, params: Params) -> Any:
        """Lamports that a stake must have at least."""
        return with_context(params.config(0).view(self._validator.slots), 10**9)

    def performance_samples(self, params: Params) -> Any:
        """Slots and transactions of each of the last full minutes, newest first."""
        limit = params.get(0)
        limit = _MOST_SAMPLES if limit is None else limit
        if limit > _MOST_SAMPLES:
            raise invalid_params(f"Invalid limit; max {_MOST_SAMPLES}")
        slots, ledger = self._validator.slots, self._validator.ledger
        end, found, last = slots.head.time, [], slots.head.slot
        begun: dict[int, list[int]] = {}
        for block in slots.between(max(ledger.incomplete_upto, slots.oldest().slot), last):
            begun.setdefault((end - block.time) // _SAMPLE_SECONDS, []).append(block.slot)
        for age in sorted(begun)[: limit + 1][:-1]:
            made = sum(len(ledger.in_slot(slot)) for slot in begun[age])
            found.append(
                {
                    "slot": begun[age][-1],
                    "numTransactions": made,
                    "numNonVoteTransactions": made,
                    "numSlots": begun[age][-1] - begun[age][0] + 1,
                    "samplePeriodSecs": _SAMPLE_SECONDS,
                }
            )
        return found
