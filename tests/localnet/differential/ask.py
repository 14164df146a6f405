"""One request of the differential test, and the addresses that requests name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CONFIRMED = {"commitment": "confirmed"}
PROCESSED = {"commitment": "processed"}
SYSTEM = "11111111111111111111111111111111"
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
TOKEN_2022 = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"
SYSVARS = {
    "clock": "SysvarC1ock11111111111111111111111111111111",
    "rent": "SysvarRent111111111111111111111111111111111",
    "epoch-schedule": "SysvarEpochSchedu1e111111111111111111111111",
    "recent-blockhashes": "SysvarRecentB1ockHashes11111111111111111111",
    "slot-hashes": "SysvarS1otHashes111111111111111111111111111",
    "slot-history": "SysvarS1otHistory11111111111111111111111111",
    "stake-history": "SysvarStakeHistory1111111111111111111111111",
    "epoch-rewards": "SysvarEpochRewards1111111111111111111111111",
    "last-restart-slot": "SysvarLastRestartS1ot1111111111111111111111",
    "instructions": "Sysvar1nstructions1111111111111111111111111",
}
PROGRAMS = {
    "system": SYSTEM,
    "token": TOKEN,
    "token-2022": TOKEN_2022,
    "associated": "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL",
    "memo": "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr",
    "stake": "Stake11111111111111111111111111111111111111",
    "vote": "Vote111111111111111111111111111111111111111",
    "config": "Config1111111111111111111111111111111111111",
    "lookup": "AddressLookupTab1e1111111111111111111111111",
    "budget": "ComputeBudget111111111111111111111111111111",
    "loader": "BPFLoaderUpgradeab1e11111111111111111111111",
    "native-mint": "So11111111111111111111111111111111111111112",
    "stake-config": "StakeConfig11111111111111111111111111111111",
}
ENCODINGS = ("base58", "base64", "base64+zstd", "jsonParsed", "binary")
GOOD = "4sGjMW1sUnHzSxGspuhpqLDx6wiyjNtZAMdL4VZHirAn"
"""An address, for requests that fail before it is looked at."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request."""

    name: str
    method: str
    params: Any = None
    """None: without the member."""
