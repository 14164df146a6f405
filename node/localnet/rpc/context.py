"""What every method works with, and the frame of an answer that belongs to a slot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from node.localnet.rpc.params import Params
from node.localnet.slots import Block
from node.localnet.validator import Validator

API_VERSION = "3.1.8"
"""The node release whose answers are followed."""
FEATURE_SET = 1_620_780_344
"""What that release says of the features it knows."""
VERSION = {"solana-core": API_VERSION, "feature-set": FEATURE_SET}
"""The answer of getVersion."""

Method = Callable[[Params], Any]
Methods = dict[str, Method]


def with_context(block: Block, value: Any) -> dict[str, Any]:
    """The frame `{context, value}`."""
    return {"context": {"apiVersion": API_VERSION, "slot": block.slot}, "value": value}


def reader(validator: Validator, block: Block) -> Callable[[Pubkey], Account | None]:
    """Reads accounts in the view of that block."""
    return lambda key: validator.bank.account(key, block.slot)
