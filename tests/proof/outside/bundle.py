"""Bundles: form, digests and signature, then every line that can be checked without a chain."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from tests.proof.outside.encoding import (
    Wrong,
    cid_of,
    from_base58,
    from_base64,
    merkle_root,
    spelled,
    strict_json,
)
from tests.proof.outside.settlement import Settlement, settlement_of
from tests.proof.outside.signed import BUNDLES, card_of, receipt_of, statement_of
from tests.proof.outside.work import failed_parts

BUNDLE = "urn:gpunode:bundle:1"
MOST_BYTES = 48 << 20
CHUNK = 65_536
CHAINS = {
    ("devnet", "nosJTmGQxvwXy23vng5UjkTbfv91Bzf9jEuro78dAGR"): "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG",
    ("mainnet", "nosJhNRqr2bc9g1nfGDcXXTXvYUmxD4cVwy2pMWhrYM"): "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
    ("localnet", "nosJTmGQxvwXy23vng5UjkTbfv91Bzf9jEuro78dAGR"): None,
    ("localnet", "nosJhNRqr2bc9g1nfGDcXXTXvYUmxD4cVwy2pMWhrYM"): None,
}
SAME = ("job", "run", "market", "node", "poster", "definition")


def failed_lines(raw: bytes) -> list[str]:
    """Names of the lines that fail; a file that is no whole bundle fails `bundle` and nothing else is looked at."""
    try:
        return _Lines(*opened(raw)).failed
    except Wrong as wrong:
        return [wrong.part]


def opened(raw: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What a bundle says, and its parts. Raises Wrong."""
    part = "bundle"
    envelope = strict_json(raw, part, MOST_BYTES)
    try:
        node = envelope["signatures"][0]["keyid"]
    except (TypeError, KeyError, IndexError):
        raise Wrong(part, "no signature") from None
    statement = statement_of(raw, node, BUNDLE, part, MOST_BYTES)
    if not BUNDLES.is_valid(statement):
        raise Wrong(part, "not what the schema says")
    said = dict(statement["predicate"])
    try:
        held, digests = said.pop("parts"), said.pop("digests")
        parts = {name: _part(value) for name, value in held.items()}
        found = {name: sha256(spelled(value)).hexdigest() for name, value in said.items()}
        found |= {f"parts/{name}": sha256(body).hexdigest() for name, body in parts.items()}
        job = said["job"]
        subject = {"digest": {"solanaAddress": from_base58(job["job"], 32, part).hex()}, "name": job["job"]}
        whole = (
            found == digests
            and job["node"] == node
            and statement["subject"] == [subject]
            and all(name in parts for name in said["cids"])
            and all(each["part"] in parts for each in said["earlier"])
        )
        chain = said["chain"]
        known = (chain["name"], chain["program"])
    except (KeyError, TypeError, AttributeError):
        raise Wrong(part, "malformed") from None
    if not whole or known not in CHAINS or CHAINS[known] not in (None, chain["genesis"]):
        raise Wrong(part, "digests, parts, node, subject or chain")
    return said, parts


def _part(value: Any) -> bytes:
    if set(value) == {"text"}:
        return str(value["text"]).encode()
    if set(value) != {"base64"}:
        raise Wrong("bundle", "a part")
    body = from_base64(value["base64"], "bundle")
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return body
    raise Wrong("bundle", "text in base64")


class _Lines:
    def __init__(self, said: dict[str, Any], parts: dict[str, bytes]) -> None:
        self.said, self.parts, self.failed = said, parts, list[str]()
        settled = self.settlement()
        receipt = self.receipt(settled)
        result = self.document("result", "result_cid", self.result_cid(settled, receipt))
        if receipt is not None:
            self.compared(receipt, settled, result)
        node = settled.node if settled else receipt["node"] if receipt else None
        self.card(node)
        own = self.own_receipt()
        if own is not None:
            self.agreement(own)
            self.full(own)

    def compared(self, receipt: dict[str, Any], settled: Settlement | None, result: bytes | None) -> None:
        """The receipt, which is the job's, against all else."""
        said = self.said
        self.names(receipt, settled)
        slots = [receipt["start"]["slot"], (receipt["end"] or {}).get("slot"), (said["settlement"] or {}).get("slot")]
        known = [slot for slot in slots if slot is not None]
        self.line("slots", known == sorted(known))
        if result is not None:
            self.result(receipt, result)
        self.telemetry(receipt)
        self.commitments(receipt)
        self.work(receipt)
        self.chain(receipt)

    def own_receipt(self) -> dict[str, Any] | None:
        """The bundle's receipt, signed by whom it names, whatever it is worth otherwise."""
        try:
            body = self.parts["receipt"]
            return receipt_of(body, strict_json(body, "bundle")["signatures"][0]["keyid"])
        except (Wrong, TypeError, KeyError, IndexError):
            return None

    def line(self, name: str, good: bool) -> bool:
        if not good:
            self.failed.append(name)
        return good

    def settlement(self) -> Settlement | None:
        wire = self.parts.get("settle")
        if not wire:
            return None
        try:
            return settlement_of(wire, self.said["chain"]["program"], self.said["job"]["job"])
        except Wrong as wrong:
            self.failed.append(wrong.part)
            return None

    def document(self, name: str, line: str, wanted: str | None) -> bytes | None:
        """A part's bytes, if they are those of its CID, and that is the one that is wanted."""
        cid = self.said["cids"].get(name)
        if cid is None:
            return None
        body = self.parts[name]
        return body if self.line(line, wanted in (None, cid) and cid_of(body) == cid) else None

    def receipt(self, settled: Settlement | None) -> dict[str, Any] | None:
        cid = self.said["cids"].get("receipt")
        if settled is not None and not self.line(
            "memo", settled.receipt is not None and cid in (None, settled.receipt)
        ):
            return None
        body = self.document("receipt", "receipt_cid", None)
        if body is None:
            return None
        try:
            node = settled.node if settled else strict_json(body, "receipt_signature")["signatures"][0]["keyid"]
            return receipt_of(body, node)
        except (Wrong, TypeError, KeyError, IndexError):
            self.failed.append("receipt_signature")
            return None

    def result_cid(self, settled: Settlement | None, receipt: dict[str, Any] | None) -> str | None:
        return settled.result if settled else receipt["result"] if receipt else None

    def names(self, receipt: dict[str, Any], settled: Settlement | None) -> None:
        chain, said = receipt["chain"], self.said["chain"]
        good = chain["program"] == said["program"] and receipt["job"] == self.said["job"]["job"]
        genesis = CHAINS[(said["name"], said["program"])]
        good = good and genesis in (None, chain["genesis"])
        if settled is not None:
            good = good and receipt["result"] == settled.result
            good = good and (settled.kind != "finish" or receipt["run"] == settled.run)
        self.line("receipt_names_job", good)

    def result(self, receipt: dict[str, Any], body: bytes) -> None:
        try:
            result = strict_json(body, "result_shape")
            states = result["opStates"]
            shaped = isinstance(result["status"], str) and all(isinstance(each, dict) for each in states)
        except (Wrong, TypeError, KeyError):
            shaped = False
        if not self.line("result_shape", shaped) or not states or not receipt["operations"]:
            return
        said = [(each["id"], each["status"], each["exitCode"]) for each in receipt["operations"]]
        held = [(each.get("operationId"), each.get("status"), each.get("exitCode")) for each in states]
        self.line("operations", said == held)
        self.line("log_root", all(map(_log_fits, receipt["operations"], [*states, *[{}] * len(said)])))

    def telemetry(self, receipt: dict[str, Any]) -> None:
        samples, telemetry = self.parts.get("samples"), receipt["telemetry"]
        if samples is not None and telemetry is not None and telemetry["root"] is not None:
            found = (merkle_root(samples), len(samples.splitlines()))
            self.line("telemetry_root", found == (telemetry["root"], telemetry["samples"]))

    def openings(self) -> dict[str, Any]:
        body = self.parts.get("openings")
        return {} if body is None else dict(strict_json(body, "bundle"))

    def commitments(self, receipt: dict[str, Any]) -> None:
        for name, opening in self.openings().items():
            text = b"gpunode/commitment/1\0" + name.encode() + b"\0" + bytes.fromhex(opening["salt"])
            made = sha256(text + spelled(opening["value"])).hexdigest()
            if not self.line("commitments", receipt["commitments"].get(name) == made):
                return

    def work(self, receipt: dict[str, Any]) -> None:
        claim = receipt["work"]
        if claim is None:
            return
        body = self.document("work", "work_cid", claim["cid"])
        if body is None:
            return
        self.line("work_sha256", sha256(body).hexdigest() == claim["sha256"])
        wrong = failed_parts(body, node=receipt["node"], gpu=claim["gpu"])
        self.failed += wrong
        if "work_document" not in wrong:
            proof = strict_json(body, "work_document")
            same = (proof["root"], proof["stated"]["engine"]) == (claim["root"], claim["engine"])
            self.line("work_reference", same)
            used = [gpu["uuid"] for gpu in receipt["gpus"]]
            self.line("work_gpus", claim["gpu"] in ("cpu", *used) or not used)

    def chain(self, receipt: dict[str, Any]) -> None:
        held = {each["receipt"]: self.parts[each["part"]] for each in self.said["earlier"]}
        newest = receipt
        for _ in range(len(held)):
            if newest["prev"] is None or newest["prev"]["receipt"] not in held:
                return
            cid = newest["prev"]["receipt"]
            try:
                earlier = receipt_of(held[cid], receipt["node"])
            except Wrong:
                earlier = None
            if not self.line(
                "receipt_chain",
                earlier is not None
                and cid_of(held[cid]) == cid
                and earlier["start"]["slot"] <= newest["start"]["slot"],
            ):
                return
            assert earlier is not None
            newest = earlier

    def card(self, node: str | None) -> None:
        body = None if node is None else self.document("card", "host_card_cid", None)
        if body is not None:
            assert node is not None
            try:
                card_of(body, node)
            except Wrong as wrong:
                self.failed.append(wrong.part)

    def agreement(self, receipt: dict[str, Any]) -> None:
        said = self.said
        good = all(said["job"][name] == receipt[name] for name in SAME) and said["end"]["cause"] == receipt["cause"]
        keys = ("index", "status", "exitCode", "starts")
        ends = [[[each[key] for key in keys] for each in one["operations"]] for one in (said, receipt)]
        gpus = [[gpu["uuid"] for gpu in one["gpus"]] for one in (said, receipt)]
        self.line("bundle_agrees", good and ends[0] == ends[1] and gpus[0] == gpus[1])

    def full(self, receipt: dict[str, Any]) -> None:
        definition = self.parts.get("definition")
        if definition is not None:
            sent = self.openings().get("delivered", {}).get("value")
            self.line("definition_cid", cid_of(definition) == (sent or receipt["definition"]))
        claims = {each["index"]: each["log"] for each in receipt["operations"] if each["log"] is not None}
        for name, opening in self.openings().items():
            match name.split("."):
                case ["operations", index, "log"] if opening["value"] is not None:
                    claims[int(index)] = opening["value"]
        good = True
        for index, claim in claims.items():
            log = self.parts.get(f"log/{index}")
            if log is not None:
                held = {"chunk": CHUNK, "length": len(log), "root": merkle_root(log)}
                good = good and held == {key: claim[key] for key in held}
        self.line("whole_logs", good)


def _log_fits(claim: dict[str, Any], state: dict[str, Any]) -> bool:
    """Whether the result's log is the one that was hashed, or says that it is only the newest part of it."""
    if claim["log"] is None:
        return True
    entries = (state.get("logs") or []) if state.get("operationId") == claim["id"] else []
    text = b"".join(
        spelled({key: entry.get(key, "") for key in ("log", "timestamp", "type")}) + b"\n"
        for entry in entries
        if isinstance(entry, dict)
    )
    if claim["log"]["chunk"] != CHUNK:
        return False
    if len(text) == claim["log"]["length"]:
        return merkle_root(text) == claim["log"]["root"]
    first = entries[0] if entries and isinstance(entries[0], dict) else {}
    newest = first.get("type") == "nodeerr" and str(first.get("log", "")).startswith("gpunode: ")
    return len(text) < claim["log"]["length"] and (newest or len(entries) >= 24_999)
