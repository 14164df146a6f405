"""Requests for accounts, accounts of programs, and tokens."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from node.base58 import b58encode
from node.chain.accounts import JOB_DISCRIMINATOR, MARKET_DISCRIMINATOR, RUN_DISCRIMINATOR
from tests.localnet.differential.ask import CONFIRMED, ENCODINGS, PROGRAMS, SYSTEM, SYSVARS, TOKEN, TOKEN_2022, Ask
from tests.localnet.differential.names import World
from tests.localnet.differential.remote import Chain


def accounts_requests(world: World) -> Iterator[Ask]:
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


def program_accounts_requests(chain: Chain, world: World) -> Iterator[Ask]:
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


def tokens_requests(chain: Chain, world: World) -> Iterator[Ask]:
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
