"""Requests whose parameters are of the wrong number, type or form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.localnet.differential.ask import CONFIRMED, GOOD, TOKEN, Ask
from tests.localnet.differential.names import key

_FIRST: dict[str, list[Any]] = {
    "getAccountInfo": [GOOD],
    "getBalance": [GOOD],
    "getMultipleAccounts": [[GOOD]],
    "getProgramAccounts": [GOOD],
    "getTokenAccountsByOwner": [GOOD, {"programId": TOKEN}],
    "getSignaturesForAddress": [GOOD],
    "getMinimumBalanceForRentExemption": [10],
    "getTokenSupply": [GOOD],
    "requestAirdrop": [GOOD, 1],
}


def shapes_requests() -> Iterator[Ask]:
    for method, first in _FIRST.items():
        yield Ask(f"{method} alone", method)
        yield Ask(f"{method} nothing", method, [])
        yield Ask(f"{method} map", method, {"pubkey": GOOD})
        if method != "requestAirdrop":
            for config in (
                "confirmed",
                5,
                True,
                [],
                ["x"],
                {"commitment": 5},
                {"minContextSlot": "1"},
                {"encoding": 5},
                {"encoding": "utf8"},
                {"encoding": {}},
                {"encoding": {"base64": None}},
                {"dataSlice": 5},
                {"dataSlice": {"offset": 1}},
                {"dataSlice": {"length": 1}},
                {"dataSlice": {"offset": -1, "length": 1}},
                {"dataSlice": [0, 1], "encoding": "base64"},
                {"dataSlice": [0]},
                {"minContextSlot": 1.5},
                {"minContextSlot": 2**64},
                {"unknown": 1},
            ):
                yield Ask(f"{method} config {config}", method, [*first, config])
        yield Ask(f"{method} too many", method, [*first, {}, {}, {}])
    for value in (
        None,
        5,
        True,
        1.5,
        -1,
        [],
        {},
        "",
        "x",
        "0",
        GOOD + "1",
        GOOD[:-2],
        "é",
        "1" * 32,
        "1" * 44,
        "1" * 45,
        "z" * 44,
    ):
        yield Ask(f"balance of {value!r}", "getBalance", [value])
    yield Ask("several with number", "getMultipleAccounts", [[5]])
    yield Ask("several with null", "getMultipleAccounts", [[None]])
    yield Ask("several with nonsense", "getMultipleAccounts", [[GOOD, "x"]])
    for size in ("1", -1, 1.0, 1.5, None, True, 2**64, 2**63):
        yield Ask(f"rent of {size}", "getMinimumBalanceForRentExemption", [size])
    gift = str(key("airdropped").pubkey())
    yield Ask("airdrop", "requestAirdrop", [gift, 5 * 10**9])
    yield Ask("airdrop confirmed", "requestAirdrop", [gift, 10**9, CONFIRMED])
    yield Ask("airdrop nonsense", "requestAirdrop", ["x", 1])
    yield Ask("airdrop text", "requestAirdrop", [GOOD, "1"])
    yield Ask("airdrop one", "requestAirdrop", [GOOD])
    yield Ask("airdrop hash", "requestAirdrop", [GOOD, 1, {"recentBlockhash": "x"}])
