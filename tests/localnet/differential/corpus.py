"""The requests: every method with the parameters clients send, and with those that are wrong.

Each has a name of its own, which its recorded answer is found by.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from node.base58 import b58encode
from node.chain.accounts import JOB_DISCRIMINATOR, MARKET_DISCRIMINATOR, RUN_DISCRIMINATOR
from tests.localnet.differential.remote import Chain
from tests.localnet.differential.world import World

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
_GOOD = "4sGjMW1sUnHzSxGspuhpqLDx6wiyjNtZAMdL4VZHirAn"
"""An address, for requests that fail before it is looked at."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request."""

    name: str
    method: str
    params: Any = None
    """None: without the member."""


def requests(chain: Chain, world: World) -> list[Ask]:
    """All of them, for one chain. Raises ValueError where two have one name."""
    found = [
        *_accounts(world),
        *_program_accounts(chain, world),
        *_tokens(chain, world),
        *_cluster(),
        *_blocks(world),
        *_transactions(world),
        *_simulations(world),
        *_shapes(world),
    ]
    names = [ask.name for ask in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"requests of one name: {twice}")
    return found


def _accounts(world: World) -> Iterator[Ask]:
    names = world.names
    shown = ("alice", "nobody", "mint", "nos:alice", "held", "multisig", "wrapped", "newer-mint", "newer-held")
    shown += ("nonce", "stake", "seeded", "blob", "table", "old-table", "job", "market", "market-vault", "devr")
    addresses = {name: names[name] for name in shown if name in names} | PROGRAMS
    for name, address in addresses.items():
        for encoding in ("jsonParsed", "base64"):
            if encoding == "base64" and name in PROGRAMS and name not in ("system", "native-mint"):
                continue  # the code itself is not compared: builds differ
            yield Ask(f"account {name} {encoding}", "getAccountInfo", [address, {"encoding": encoding}])
        yield Ask(f"balance {name}", "getBalance", [address])
    for name, address in SYSVARS.items():
        yield Ask(f"account sysvar {name}", "getAccountInfo", [address, {"encoding": "jsonParsed"}])
    mint = names["mint"]
    for encoding in ENCODINGS:
        yield Ask(f"account small {encoding}", "getAccountInfo", [mint, {"encoding": encoding}])
        yield Ask(f"account big {encoding}", "getAccountInfo", [names["blob"], {"encoding": encoding}])
        for offset, length in ((0, 4), (2, 200), (40, 0), (500, 8), (0, 2**40)):
            part = {"encoding": encoding, "dataSlice": {"offset": offset, "length": length}}
            yield Ask(f"slice {encoding} {offset} {length}", "getAccountInfo", [names["blob"], part])
            yield Ask(f"slice token {encoding} {offset} {length}", "getAccountInfo", [names["held"], part])
    yield Ask("account default encoding", "getAccountInfo", [mint])
    yield Ask("account null config", "getAccountInfo", [mint, None])
    yield Ask("account empty config", "getAccountInfo", [mint, {}])
    for level in ("processed", "confirmed", "finalized", "recent", "max", "sure", 3, None):
        config = {"commitment": level, "encoding": "base64"}
        yield Ask(f"account at {level}", "getAccountInfo", [names["alice"], config])
        yield Ask(f"balance at {level}", "getBalance", [names["alice"], {"commitment": level}])
    several = [names["alice"], names["nobody"], mint, names["nos:alice"], mint]
    for encoding in (*ENCODINGS, None):
        config = [{"encoding": encoding}] if encoding else []
        yield Ask(f"several {encoding}", "getMultipleAccounts", [several, *config])
    part = {"encoding": "base64", "dataSlice": {"offset": 32, "length": 8}}
    yield Ask("several sliced", "getMultipleAccounts", [several, part])
    yield Ask("several none", "getMultipleAccounts", [[]])
    yield Ask("several too many", "getMultipleAccounts", [[mint] * 101])
    yield Ask("several big in base58", "getMultipleAccounts", [[names["blob"]], {"encoding": "base58"}])
    for size in (0, 1, 165, 10_240, 10 * 1024 * 1024, 10 * 1024 * 1024 + 1):
        yield Ask(f"rent {size}", "getMinimumBalanceForRentExemption", [size])
    yield Ask("rent confirmed", "getMinimumBalanceForRentExemption", [200, CONFIRMED])
    yield Ask("account ahead", "getAccountInfo", [mint, {"minContextSlot": 10**12}])
    yield Ask("account reached", "getAccountInfo", [mint, {"minContextSlot": 1, "encoding": "base64"}])


def _program_accounts(chain: Chain, world: World) -> Iterator[Ask]:
    names, jobs = world.names, chain.cluster.jobs
    base = {"encoding": "base64"}

    def where(offset: int, text: str, **more: Any) -> dict[str, Any]:
        return {"memcmp": {"offset": offset, "bytes": text, **more}}

    job, market = b58encode(JOB_DISCRIMINATOR), b58encode(MARKET_DISCRIMINATOR)
    yield Ask("jobs all", "getProgramAccounts", [jobs, {**base, "filters": [where(0, job, encoding="base58")]}])
    yield Ask("jobs plain", "getProgramAccounts", [jobs, {**base, "filters": [where(0, job)]}])
    in_base64 = base64.b64encode(JOB_DISCRIMINATOR).decode()
    filters = [where(0, in_base64, encoding="base64")]
    yield Ask("jobs in base64", "getProgramAccounts", [jobs, {**base, "filters": filters}])
    raw = {"memcmp": {"offset": 0, "bytes": list(JOB_DISCRIMINATOR)}}
    yield Ask("jobs in bytes", "getProgramAccounts", [jobs, {**base, "filters": [raw]}])
    raw = {"memcmp": {"offset": 0, "bytes": list(JOB_DISCRIMINATOR), "encoding": "bytes"}}
    yield Ask("jobs in named bytes", "getProgramAccounts", [jobs, {**base, "filters": [raw]}])
    runs = [where(0, b58encode(RUN_DISCRIMINATOR), encoding="base58"), where(8, names["job"], encoding="base58")]
    yield Ask("runs of a job", "getProgramAccounts", [jobs, {**base, "filters": runs}])
    of_market = [where(0, job), where(208, "1"), where(176, names["alice"]), where(72, names["market"])]
    yield Ask("jobs of a market", "getProgramAccounts", [jobs, {**base, "filters": of_market}])
    sliced = {**base, "filters": [where(0, job)], "dataSlice": {"offset": 208, "length": 17}}
    yield Ask("jobs sliced", "getProgramAccounts", [jobs, sliced])
    framed = {**base, "filters": [where(0, market)], "withContext": True}
    yield Ask("markets with context", "getProgramAccounts", [jobs, framed])
    yield Ask(
        "markets unsorted", "getProgramAccounts", [jobs, {**base, "filters": [where(0, market)], "sortResults": False}]
    )
    yield Ask("big in base58", "getProgramAccounts", [jobs, {"filters": [where(0, market)]}])
    yield Ask("nothing owned", "getProgramAccounts", [names["nobody"]])
    mint = names["mint"]
    for encoding in ENCODINGS:
        holders = {"encoding": encoding, "filters": [{"dataSize": 165}, where(0, mint, encoding="base58")]}
        yield Ask(f"holders {encoding}", "getProgramAccounts", [TOKEN, holders])
    state = {**base, "filters": ["tokenAccountState", where(32, names["carol"])]}
    yield Ask("token accounts by state", "getProgramAccounts", [TOKEN, state])
    state = {**base, "filters": [{"tokenAccountState": None}, where(32, names["carol"])]}
    yield Ask("token accounts by state as map", "getProgramAccounts", [TOKEN, state])
    yield Ask("newer tokens", "getProgramAccounts", [TOKEN_2022, {"encoding": "jsonParsed"}])
    yield Ask("mints", "getProgramAccounts", [TOKEN, {**base, "filters": [{"dataSize": 82}, where(4, names["alice"])]}])
    yield Ask("short owner", "getProgramAccounts", [TOKEN, {**base, "filters": [{"dataSize": 165}, where(32, "11")]}])
    yield Ask("short mint", "getProgramAccounts", [TOKEN, {**base, "filters": [{"dataSize": 165}, where(0, "11")]}])
    yield Ask("beyond the end", "getProgramAccounts", [TOKEN, {**base, "filters": [{"dataSize": 82}, where(900, "2")]}])
    stakes = {"encoding": "jsonParsed", "filters": [where(12, names["alice"])]}
    yield Ask("stakes of a staker", "getProgramAccounts", [PROGRAMS["stake"], stakes])
    long58, long64 = "2" * 180, base64.b64encode(bytes(200)).decode()
    for name, entry in {
        "too many": [{"dataSize": 1}] * 5,
        "negative size": [{"dataSize": -1}],
        "unknown": [{"size": 1}],
        "two in one": [{"dataSize": 1, "memcmp": {"offset": 0, "bytes": "1"}}],
        "no bytes": [{"memcmp": {"offset": 0}}],
        "no offset": [{"memcmp": {"bytes": "1"}}],
        "text offset": [{"memcmp": {"offset": "0", "bytes": "1"}}],
        "bad base58": [where(0, "0OIl")],
        "not ascii": [where(0, "é")],
        "bad base64": [where(0, "!!!!", encoding="base64")],
        "bad padding": [where(0, "AAA", encoding="base64")],
        "bad length": [where(0, "AAAAA", encoding="base64")],
        "bad last": [where(0, "AB==", encoding="base64")],
        "long base58": [where(0, long58)],
        "long base64": [where(0, long64, encoding="base64")],
        "long bytes": [{"memcmp": {"offset": 0, "bytes": [0] * 129}}],
        "bytes too big": [{"memcmp": {"offset": 0, "bytes": [256]}}],
        "unknown encoding": [where(0, "1", encoding="hex")],
        "text": ["dataSize"],
        "unknown text": ["frozen"],
        "number": [5],
        "no list": {"dataSize": 1},
        "null": None,
        "empty": [],
        "empty bytes": [where(0, ""), {"dataSize": 1}],
    }.items():
        yield Ask(
            f"filter {name}",
            "getProgramAccounts",
            [jobs, {"encoding": "base64", "filters": entry, "dataSlice": {"offset": 0, "length": 8}}],
        )


def _tokens(chain: Chain, world: World) -> Iterator[Ask]:
    names, nos = world.names, chain.mint
    alice = names["alice"]
    for encoding in (*ENCODINGS, None):
        config = [{"encoding": encoding}] if encoding else []
        yield Ask(f"tokens of an owner {encoding}", "getTokenAccountsByOwner", [alice, {"mint": nos}, *config])
    parsed = {"encoding": "jsonParsed", **CONFIRMED}
    for name, selector in {
        "token program": {"programId": TOKEN},
        "newer token program": {"programId": TOKEN_2022},
        "other program": {"programId": SYSTEM},
        "no mint": {"mint": names["nobody"]},
        "not a mint": {"mint": alice},
        "a token account": {"mint": names["held"]},
        "native mint": {"mint": PROGRAMS["native-mint"]},
        "bad mint": {"mint": "x"},
        "bad program": {"programId": "0"},
        "neither": {},
        "both": {"mint": nos, "programId": TOKEN},
        "unknown": {"name": nos},
        "text": "mint",
        "null": None,
        "number": 7,
        "number mint": {"mint": 7},
    }.items():
        yield Ask(f"tokens by {name}", "getTokenAccountsByOwner", [alice, selector, parsed])
        yield Ask(f"delegated by {name}", "getTokenAccountsByDelegate", [names["bob"], selector, parsed])
    sliced = {"encoding": "base64", "dataSlice": {"offset": 64, "length": 8}}
    yield Ask("tokens sliced", "getTokenAccountsByOwner", [alice, {"mint": nos}, sliced])
    yield Ask("tokens of newer", "getTokenAccountsByOwner", [names["bob"], {"mint": names["newer-mint"]}, parsed])
    yield Ask("tokens without selector", "getTokenAccountsByOwner", [alice])
    yield Ask("tokens ahead", "getTokenAccountsByOwner", [alice, {"mint": nos}, {"minContextSlot": 10**12}])
    for name in ("nos:alice", "held", "wrapped", "newer-held", "nobody", "alice", "mint", "multisig"):
        yield Ask(f"token balance {name}", "getTokenAccountBalance", [names[name]])
        yield Ask(f"supply of {name}", "getTokenSupply", [names[name]])
        yield Ask(f"largest of {name}", "getTokenLargestAccounts", [names[name]])
    yield Ask("supply of newer-mint", "getTokenSupply", [names["newer-mint"], CONFIRMED])
    yield Ask("largest of newer-mint", "getTokenLargestAccounts", [names["newer-mint"], CONFIRMED])
    yield Ask("supply of native", "getTokenSupply", [PROGRAMS["native-mint"]])
    yield Ask("supply of nos", "getTokenSupply", [nos])
    yield Ask("largest of nos", "getTokenLargestAccounts", [nos])
    for method in ("getTokenAccountBalance", "getTokenSupply", "getTokenLargestAccounts"):
        for config in (
            {},
            {"commitment": "sure"},
            {"commitment": 3},
            ["confirmed"],
            "confirmed",
            None,
            {"commitment": "processed"},
        ):
            yield Ask(
                f"{method} with {config}",
                method,
                [nos if method != "getTokenAccountBalance" else names["nos:alice"], config],
            )


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


def _cluster() -> Iterator[Ask]:
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
    yield Ask("votes of nobody", "getVoteAccounts", [{"votePubkey": _GOOD}])
    yield Ask("votes of nonsense", "getVoteAccounts", [{"votePubkey": "x"}])
    yield Ask("votes with all", "getVoteAccounts", [{"keepUnstakedDelinquents": True, "delinquentSlotDistance": 5}])
    for params in (
        [0],
        [0, {}],
        [None],
        [None, {"identity": _GOOD}],
        [{"identity": _GOOD}],
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
        {"identity": _GOOD},
        {"identity": "x"},
        {"range": {"firstSlot": 1, "lastSlot": 10**9}},
    ):
        yield Ask(f"production {config}", "getBlockProduction", [config])
    for params in ([[]], [[_GOOD]], [["x"]], [[_GOOD] * 129], [_GOOD], [[5]]):
        yield Ask(f"fees {str(params)[:60]}", "getRecentPrioritizationFees", params)
    for params in ([[_GOOD]], [[_GOOD], {"epoch": 0}], [[_GOOD], {"epoch": 5}], [["x"]], [[]], []):
        yield Ask(f"rewards {params}", "getInflationReward", params)
    for params in ([0], [1], [10**12], [], ["1"], [1, 2]):
        yield Ask(f"commitment of {params}", "getBlockCommitment", params)
    for params in ([_GOOD], ["x"], ["0"], [], [5], [_GOOD, PROCESSED], [_GOOD, {"minContextSlot": 10**12}]):
        yield Ask(f"blockhash {params}", "isBlockhashValid", params)


def _blocks(world: World) -> Iterator[Ask]:
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


def _transactions(world: World) -> Iterator[Ask]:
    names = world.names
    landed = [name[3:] for name in names if name.startswith("tx:")]
    for name in landed:
        signature = names[f"tx:{name}"]
        for encoding in ("json", "jsonParsed"):
            config = {"encoding": encoding, "maxSupportedTransactionVersion": 0}
            yield Ask(f"transaction {name} {encoding}", "getTransaction", [signature, config])
        yield Ask(f"status {name}", "getSignatureStatuses", [[signature]])
    legacy, plain = names["tx:legacy"], names["tx:plain"]
    for encoding in ("base58", "base64", "binary"):
        config = {"encoding": encoding, "maxSupportedTransactionVersion": 0}
        yield Ask(f"transaction {encoding}", "getTransaction", [legacy, config])
        yield Ask(f"transaction with table {encoding}", "getTransaction", [names["tx:table-use"], config])
        yield Ask(f"transaction by text {encoding}", "getTransaction", [legacy, encoding])
    yield Ask("transaction alone", "getTransaction", [legacy])
    yield Ask("transaction version 0 alone", "getTransaction", [plain])
    yield Ask("transaction version 0 by text", "getTransaction", [plain, "jsonParsed"])
    yield Ask("transaction confirmed", "getTransaction", [legacy, CONFIRMED])
    yield Ask("transaction processed", "getTransaction", [legacy, PROCESSED])
    yield Ask("transaction nonsense", "getTransaction", ["x"])
    yield Ask("transaction bad text", "getTransaction", ["0"])
    yield Ask("transaction short", "getTransaction", [names["alice"]])
    yield Ask("transaction unknown", "getTransaction", [b58encode(bytes(range(64)))])
    yield Ask("transaction encoding", "getTransaction", [legacy, {"encoding": "hex"}])
    yield Ask("transaction null", "getTransaction", [legacy, None])
    unknown = b58encode(bytes(range(64)))
    yield Ask("status unknown", "getSignatureStatuses", [[unknown, legacy]])
    yield Ask("status in history", "getSignatureStatuses", [[unknown, legacy], {"searchTransactionHistory": True}])
    yield Ask("status empty config", "getSignatureStatuses", [[legacy], {}])
    yield Ask("status too many", "getSignatureStatuses", [[legacy] * 257])
    yield Ask("status none", "getSignatureStatuses", [[]])
    yield Ask("status text", "getSignatureStatuses", [legacy])
    yield Ask("status nonsense", "getSignatureStatuses", [["x"]])
    yield Ask("status number", "getSignatureStatuses", [[5]])
    yield Ask("status flag", "getSignatureStatuses", [[legacy], {"searchTransactionHistory": "yes"}])
    for name in ("carol", "nobody", "table", "mint", "job", "looked-up"):
        yield Ask(f"history of {name}", "getSignaturesForAddress", [names[name]])
    for name, config in {
        "confirmed": CONFIRMED,
        "limit 1": {"limit": 1},
        "limit 0": {"limit": 0},
        "limit 1001": {"limit": 1001},
        "limit text": {"limit": "1"},
        "before": {"before": names["tx:table-use"]},
        "until": {"until": names["tx:plain"]},
        "between": {"before": names["tx:table-use"], "until": names["tx:fund"]},
        "before unknown": {"before": b58encode(bytes(range(64)))},
        "until unknown": {"until": b58encode(bytes(range(64)))},
        "before nonsense": {"before": "x"},
        "processed": PROCESSED,
        "ahead": {"minContextSlot": 10**12},
        "null": None,
    }.items():
        yield Ask(f"history {name}", "getSignaturesForAddress", [names["carol"], config])


def _simulations(world: World) -> Iterator[Ask]:
    for name, text in world.wires.items():
        for method in ("simulateTransaction", "sendTransaction"):
            if method == "sendTransaction" and name in world.harmless:
                continue  # it would land
            yield Ask(f"{method} {name}", method, [text, {"encoding": "base64"}])
    fine = world.wires["fine"]
    yield Ask("simulate default encoding", "simulateTransaction", [fine])
    wanted = [world.names["alice"], world.names["nobody"], world.names["nos:alice"]]
    for name, config in {
        "verified": {"sigVerify": True},
        "replaced": {"replaceRecentBlockhash": True},
        "both": {"sigVerify": True, "replaceRecentBlockhash": True},
        "inner": {"innerInstructions": True},
        "accounts": {"accounts": {"addresses": wanted[:2]}},
        "accounts parsed": {"accounts": {"addresses": wanted[:1], "encoding": "jsonParsed"}},
        "accounts base58": {"accounts": {"addresses": wanted[:1], "encoding": "base58"}},
        "accounts too many": {"accounts": {"addresses": wanted * 9}},
        "accounts nonsense": {"accounts": {"addresses": ["x"]}},
        "accounts missing": {"accounts": {}},
        "processed": PROCESSED,
        "confirmed": CONFIRMED,
        "ahead": {"minContextSlot": 10**12},
        "flag": {"sigVerify": 1},
        "json": {"encoding": "json"},
        "binary": {"encoding": "binary"},
        "hex": {"encoding": "hex"},
    }.items():
        yield Ask(f"simulate {name}", "simulateTransaction", [fine, {"encoding": "base64", **config}])
    for name in ("unsigned", "old hash"):
        replaced = {"encoding": "base64", "replaceRecentBlockhash": True}
        yield Ask(f"simulate replaced {name}", "simulateTransaction", [world.wires[name], replaced])
    verified = {"encoding": "base64", "sigVerify": True}
    yield Ask("simulate verified unsigned", "simulateTransaction", [world.wires["unsigned"], verified])
    inner = {
        "encoding": "base64",
        "innerInstructions": True,
        "accounts": {"addresses": wanted[2:], "encoding": "jsonParsed"},
    }
    yield Ask("simulate inner of a program", "simulateTransaction", [world.wires["creates"], inner])
    for method in ("sendTransaction", "simulateTransaction"):
        for name, params in {
            "nothing": [],
            "number": [5],
            "no base64": ["!!!!", {"encoding": "base64"}],
            "no base58": ["0000", {"encoding": "base58"}],
            "short": ["AAAA", {"encoding": "base64"}],
            "empty": ["", {"encoding": "base64"}],
            "padding": ["AAAAA", {"encoding": "base64"}],
            "long": ["A" * 1648, {"encoding": "base64"}],
            "long base58": ["1" * 1700],
            "long bytes": [base64.b64encode(bytes(1233)).decode(), {"encoding": "base64"}],
            "zeros": [base64.b64encode(bytes(100)).decode(), {"encoding": "base64"}],
            "json": [fine, {"encoding": "json"}],
            "config list": [fine, ["x"]],
            "config text": [fine, "base64"],
            "three": [fine, {}, {}],
            "version 1": [
                base64.b64encode(bytes([1]) + bytes(64) + bytes([0x81]) + bytes(40)).decode(),
                {"encoding": "base64"},
            ],
        }.items():
            yield Ask(f"{method} with {name}", method, params)
    yield Ask("send ahead", "sendTransaction", [fine, {"encoding": "base64", "minContextSlot": 10**12}])
    yield Ask("send commitment", "sendTransaction", [fine, {"encoding": "base64", "preflightCommitment": "sure"}])
    yield Ask("send retries", "sendTransaction", [fine, {"encoding": "base64", "maxRetries": -1}])
    for name, params in {
        "nothing": [],
        "nonsense": ["!"],
        "short": ["AAAA"],
        "fine": [world.messages["fine"]],
        "priced": [world.messages["priced"]],
        "old": [world.messages["old hash"]],
        "processed": [world.messages["fine"], PROCESSED],
        "table": [world.messages["table"]],
        "missing table": [world.messages["missing table"]],
        "ahead": [world.messages["fine"], {"minContextSlot": 10**12}],
    }.items():
        yield Ask(f"fee for {name}", "getFeeForMessage", params)


_FIRST: dict[str, list[Any]] = {
    "getAccountInfo": [_GOOD],
    "getBalance": [_GOOD],
    "getMultipleAccounts": [[_GOOD]],
    "getProgramAccounts": [_GOOD],
    "getTokenAccountsByOwner": [_GOOD, {"programId": TOKEN}],
    "getSignaturesForAddress": [_GOOD],
    "getMinimumBalanceForRentExemption": [10],
    "getTokenSupply": [_GOOD],
    "requestAirdrop": [_GOOD, 1],
}


def _shapes(world: World) -> Iterator[Ask]:
    for method, first in _FIRST.items():
        yield Ask(f"{method} alone", method)
        yield Ask(f"{method} nothing", method, [])
        yield Ask(f"{method} map", method, {"pubkey": _GOOD})
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
        _GOOD + "1",
        _GOOD[:-2],
        "é",
        "1" * 32,
        "1" * 44,
        "1" * 45,
        "z" * 44,
    ):
        yield Ask(f"balance of {value!r}", "getBalance", [value])
    yield Ask("several with number", "getMultipleAccounts", [[5]])
    yield Ask("several with null", "getMultipleAccounts", [[None]])
    yield Ask("several with nonsense", "getMultipleAccounts", [[_GOOD, "x"]])
    for size in ("1", -1, 1.0, 1.5, None, True, 2**64, 2**63):
        yield Ask(f"rent of {size}", "getMinimumBalanceForRentExemption", [size])
    yield Ask("airdrop nonsense", "requestAirdrop", ["x", 1])
    yield Ask("airdrop text", "requestAirdrop", [_GOOD, "1"])
    yield Ask("airdrop one", "requestAirdrop", [_GOOD])
    yield Ask("airdrop hash", "requestAirdrop", [_GOOD, 1, {"recentBlockhash": "x"}])
    _ = world
