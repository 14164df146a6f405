"""Requests for transactions that landed, and with some that do not."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from node.base58 import b58encode
from tests.localnet.differential.ask import CONFIRMED, PROCESSED, Ask
from tests.localnet.differential.names import World


def transactions_requests(world: World) -> Iterator[Ask]:
    names = world.names
    landed = [name[3:] for name in names if name.startswith("tx:")]
    for name in landed:
        signature = names[f"tx:{name}"]
        for encoding in ("json", "jsonParsed"):
            config = {"encoding": encoding, "maxSupportedTransactionVersion": 0}
            yield Ask(f"transaction {name} {encoding}", "getTransaction", [signature, config])
        yield Ask(f"status {name}", "getSignatureStatuses", [[signature], {"searchTransactionHistory": True}])
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
    yield Ask("status unknown", "getSignatureStatuses", [[unknown]])
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


def simulations_requests(world: World) -> Iterator[Ask]:
    for name, text in world.wires.items():
        for method in ("simulateTransaction", "sendTransaction"):
            if method == "sendTransaction" and name in world.harmless:
                continue  # it would land
            yield Ask(f"{method} {name}", method, [text, {"encoding": "base64"}])
    fine = world.wires["fine"]
    yield Ask("simulate default encoding", "simulateTransaction", ["111+"])
    yield Ask("simulate binary", "simulateTransaction", ["111+", {"encoding": "binary"}])
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
