"""Requests about the cluster, its nodes and its blocks."""

from __future__ import annotations

from collections.abc import Iterator

from tests.localnet.differential.ask import CONFIRMED, GOOD, PROCESSED, Ask
from tests.localnet.differential.names import World

_PLAIN = [
    "getBlockHeight",
    "getClusterNodes",
    "getEpochInfo",
    "getEpochSchedule",
    "getFirstAvailableBlock",
    "getGenesisHash",
    "getHealth",
    "getHighestSnapshotSlot",
    "getIdentity",
    "getInflationGovernor",
    "getInflationRate",
    "getLargestAccounts",
    "getLatestBlockhash",
    "getLeaderSchedule",
    "getMaxRetransmitSlot",
    "getMaxShredInsertSlot",
    "getRecentPerformanceSamples",
    "getRecentPrioritizationFees",
    "getSlot",
    "getSlotLeader",
    "getStakeMinimumDelegation",
    "getSupply",
    "getTransactionCount",
    "getVersion",
    "getVoteAccounts",
    "minimumLedgerSlot",
    "getBlockProduction",
]
_GONE = [
    "getConfirmedBlock",
    "getConfirmedBlocks",
    "getConfirmedTransaction",
    "getFeeCalculatorForBlockhash",
    "getFeeRateGovernor",
    "getFees",
    "getRecentBlockhash",
    "getSnapshotSlot",
    "getStakeActivation",
    "confirmTransaction",
    "getSignatureStatus",
    "getAccountsInfo",
    "localnet_nothing",
    "accountSubscribe",
    "blockSubscribe",
    "getAsset",
]


def cluster_requests() -> Iterator[Ask]:
    for method in _PLAIN:
        yield Ask(f"{method} alone", method)
        yield Ask(f"{method} without", method, [])
        yield Ask(f"{method} as map", method, {"commitment": "confirmed"})
        for config in (
            CONFIRMED,
            PROCESSED,
            {"commitment": "max"},
            {},
            None,
            "finalized",
            5,
            {"minContextSlot": 10**12},
            {"minContextSlot": -1},
        ):
            yield Ask(f"{method} with {config}", method, [config])
        yield Ask(f"{method} with two", method, [CONFIRMED, CONFIRMED])
    for method in _GONE:
        yield Ask(f"{method} is gone", method, [])
    for limit in (0, 1, 720, 721):
        yield Ask(f"samples {limit}", "getRecentPerformanceSamples", [limit])
    for filter_ in ("circulating", "nonCirculating", "all"):
        yield Ask(f"largest {filter_}", "getLargestAccounts", [{"filter": filter_}])
    yield Ask("supply short", "getSupply", [{"excludeNonCirculatingAccountsList": True}])
    yield Ask("votes of nobody", "getVoteAccounts", [{"votePubkey": GOOD}])
    yield Ask("votes of nonsense", "getVoteAccounts", [{"votePubkey": "x"}])
    yield Ask("votes with all", "getVoteAccounts", [{"keepUnstakedDelinquents": True, "delinquentSlotDistance": 5}])
    for params in (
        [0],
        [0, {}],
        [None],
        [None, {"identity": GOOD}],
        [{"identity": GOOD}],
        [10**12],
        ["0"],
        [{"identity": "x"}],
    ):
        yield Ask(f"leaders {params}", "getLeaderSchedule", params)
    for params in ([0, 4], [0, 0], [0, 5001], [10**12, 4], [0], [], [0, 4, 5], ["0", 4], [0, -1], {}):
        yield Ask(f"slot leaders {params}", "getSlotLeaders", params)
    for config in (
        {"range": {"firstSlot": 0}},
        {"range": {"firstSlot": 5, "lastSlot": 3}},
        {"range": {}},
        {"identity": GOOD},
        {"identity": "x"},
        {"range": {"firstSlot": 1, "lastSlot": 10**9}},
    ):
        yield Ask(f"production {config}", "getBlockProduction", [config])
    for params in ([[]], [[GOOD]], [["x"]], [[GOOD] * 129], [GOOD], [[5]]):
        yield Ask(f"fees {str(params)[:60]}", "getRecentPrioritizationFees", params)
    for params in ([[GOOD]], [[GOOD], {"epoch": 0}], [[GOOD], {"epoch": 5}], [["x"]], [[]], []):
        yield Ask(f"rewards {params}", "getInflationReward", params)
    for params in ([0], [1], [10**12], [], ["1"], [1, 2]):
        yield Ask(f"commitment of {params}", "getBlockCommitment", params)
    for params in ([GOOD], ["x"], ["0"], [], [5], [GOOD, PROCESSED], [GOOD, {"minContextSlot": 10**12}]):
        yield Ask(f"blockhash {params}", "isBlockhashValid", params)


def blocks_requests(world: World) -> Iterator[Ask]:
    slot = world.slots["legacy"]
    for encoding in ("json", "jsonParsed", "base58", "base64", "binary"):
        config = {"encoding": encoding, "maxSupportedTransactionVersion": 0}
        yield Ask(f"block {encoding}", "getBlock", [slot, config])
        yield Ask(f"block of a table {encoding}", "getBlock", [world.slots["table-use"], config])
        yield Ask(f"block by text {encoding}", "getBlock", [slot, encoding])
    for details in ("full", "accounts", "signatures", "none", "some"):
        for rewards in (True, False):
            config = {"transactionDetails": details, "rewards": rewards, "maxSupportedTransactionVersion": 0}
            yield Ask(f"block {details} {rewards}", "getBlock", [world.slots["table-use"], config])
    yield Ask("block alone", "getBlock", [slot])
    yield Ask("block of version 0 alone", "getBlock", [world.slots["plain"]])
    yield Ask("block of version 0 signatures", "getBlock", [world.slots["plain"], {"transactionDetails": "signatures"}])
    yield Ask("block confirmed", "getBlock", [slot, {**CONFIRMED, "transactionDetails": "none"}])
    yield Ask("block processed", "getBlock", [slot, PROCESSED])
    yield Ask("block ahead", "getBlock", [10**12])
    yield Ask("block first", "getBlock", [0, {"transactionDetails": "none"}])
    yield Ask("block nonsense", "getBlock", [slot, {"encoding": "hex"}])
    yield Ask("block version", "getBlock", [slot, {"maxSupportedTransactionVersion": 300}])
    yield Ask("block time", "getBlockTime", [slot])
    yield Ask("block time first", "getBlockTime", [0])
    yield Ask("block time ahead", "getBlockTime", [10**12])
    yield Ask("block time text", "getBlockTime", ["1"])
    yield Ask("block time float", "getBlockTime", [1.5])
    yield Ask("block time none", "getBlockTime", [])
    yield Ask("block time two", "getBlockTime", [slot, 2])
    yield Ask("block time negative", "getBlockTime", [-4])
    for name, params in {
        "empty range": [slot, slot - 1],
        "ahead": [10**12],
        "too large": [0, 10**12],
        "processed": [slot, slot, PROCESSED],
        "late config": [10**12, CONFIRMED],
        "null end": [10**12, None, CONFIRMED],
        "nonsense": [slot, "x"],
        "min context": [slot, slot, {"minContextSlot": 10**12}],
    }.items():
        yield Ask(f"blocks {name}", "getBlocks", params)
    for name, params in {
        "none": [slot, 0],
        "ahead": [10**12, 5],
        "too large": [0, 500_001],
        "processed": [slot, 1, PROCESSED],
        "no limit": [slot],
        "confirmed ahead": [10**12, 5, CONFIRMED],
    }.items():
        yield Ask(f"blocks with limit {name}", "getBlocksWithLimit", params)
