"""Gathers what a run's bundle holds: what proves most comes first, in case there is not room for all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node import __version__
from node.agent import bundle_account as said
from node.agent.bundle_sources import RunRecords, Sources
from node.agent.isolation import relaxations
from node.bounded_json import JsonRefused, read_json
from node.chain.clusters import cluster_named
from node.content.folder import LocalStore
from node.content.merkle import MerkleHasher
from node.errors import ContentError, ContentTooLarge, GpunodeError, ProofError
from node.journal.reader import JournalReader
from node.proof.bundle import MAX_PARTS_BYTES, encoded_size
from node.proof.bundle_document import Account, BundleChain, BundleEarlier, BundleMissing, BundleRelaxations
from node.proof.receipt import NAME, Receipt, parse_receipt
from node.records import (
    Cid,
    JobSummary,
    SettleKind,
)
from node.settings import Settings

EARLIER = 8
"""Earlier receipts unless another number is asked for."""
MOST_EARLIER = 1000
SAMPLES_LIMIT = 4 << 20
"""Bytes of meter samples in a redacted bundle; a full one holds them whole."""
PATIENCE = 8.0
"""Seconds for all that is asked of a chain and of stores: who waits for the bundle gets it without."""
LEFT_OUT = ("definition", "result", "log", "words")
"""What only a full bundle holds."""


@dataclass(frozen=True, slots=True)
class BundleWish:
    """What a bundle is to hold."""

    full: bool = False
    """Also what came from the job's poster, and its output."""
    earlier: int = EARLIER
    """Earlier receipts at most."""


@dataclass(slots=True)
class PartsDesk:
    """One bundle on its way."""

    settings: Settings
    journal: JournalReader
    sources: Sources
    run: JobSummary
    wish: BundleWish
    records: RunRecords
    parts: dict[str, bytes] = field(default_factory=dict)
    cids: dict[str, str] = field(default_factory=dict)
    earlier: list[BundleEarlier] = field(default_factory=list)
    missing: list[BundleMissing] = field(default_factory=list)
    room: int = field(default_factory=lambda: MAX_PARTS_BYTES)
    patience: float = field(default_factory=lambda: PATIENCE)

    async def collect(self) -> None:
        """Gather the parts: what proves most comes first, in case there is not room for all."""
        receipt = await self._receipt()
        await self._settle()
        await self._card()
        await self._work(receipt)
        await self._earlier(receipt)
        await self._samples()
        if self.wish.full:
            await self._openings(receipt)
            await self._definition()
            if self.run.result_cid is not None:
                await self._kept("result", self.run.result_cid)
            await self._logs()

    def account(self, genesis: str | None, now: float) -> Account:
        """What the bundle says; `now`: unix seconds."""
        settings, records = self.settings, self.records
        cluster = cluster_named(settings.cluster, settings.ids)
        plan = records.plan
        return Account(
            agent=f"{NAME}/{__version__}",
            made_ms=round(now * 1000),
            full=self.wish.full,
            chain=BundleChain(name=cluster.name, genesis=cluster.genesis_hash or genesis, program=cluster.jobs),
            job=said.job_of(self.run, records.assignment),
            end=said.end_of(self.run, records.refused),
            settlement=said.settlement_of(self.run.settlement),
            stages=said.stages_of(self.run),
            operations=said.operations_of(records.states, plan),
            gpus=said.gpus_of(() if plan is None else plan.gpus, records.outcome),
            relaxations=BundleRelaxations(
                admitted=None if plan is None else plan.relaxed,
                made=tuple(each.setting for each in relaxations(settings)),
            ),
            words=said.words_of(self.run, records.states, records.outcome) if self.wish.full else None,
            earlier=tuple(self.earlier),
            cids=self.cids,
            missing=tuple(self.missing),
            left_out=() if self.wish.full else LEFT_OUT,
        )

    # --- parts ---

    async def _receipt(self) -> Receipt | None:
        if self.run.receipt_cid is None:
            why = "the run was given back" if self.records.refused is not None else "it is not made yet"
            self._lack("receipt", why)
            return None
        body = await self._kept("receipt", self.run.receipt_cid)
        try:
            return None if body is None else parse_receipt(body)
        except ProofError:
            return None  # who checks the bundle is told

    async def _settle(self) -> None:
        settlement = self.run.settlement
        if settlement is None:
            return self._lack("settle", "the run is not settled yet")
        if settlement.kind is SettleKind.LOST or settlement.signature is None:
            return self._lack("settle", f"no transaction of this node's settled it ({settlement.kind.value})")
        wire = await self.journal.settle_wire(self.run.run)
        if wire is None:
            wire = await self._asked(self.sources.wire(settlement.signature))
        if wire is None:
            return self._lack("settle", "the journal does not have it, and no endpoint gave it")
        self._put("settle", wire)
        return None

    async def _card(self) -> None:
        cid = _card_cid(await self.journal.meta(f"host_card:{self.run.node}"))
        if cid is None:
            return self._lack("card", "this host has made none")
        await self._kept("card", cid)
        return None

    async def _work(self, receipt: Receipt | None) -> None:
        if receipt is not None and receipt.work is not None:
            await self._kept("work", Cid(receipt.work.cid))

    async def _earlier(self, receipt: Receipt | None) -> None:
        """Receipts before this one, by what each says of the one before it."""
        for number in range(1, min(self.wish.earlier, MOST_EARLIER) + 1):
            if receipt is None or receipt.prev is None:
                return
            name, link = f"earlier/{number}", receipt.prev
            body = await self._kept(name, Cid(link.receipt))
            if body is None:
                return
            self.earlier.append(BundleEarlier(part=name, receipt=link.receipt, settle=link.settle))
            try:
                receipt = parse_receipt(body)
            except ProofError:
                return

    async def _samples(self) -> None:
        outcome = self.records.outcome
        if outcome is None or outcome.energy is None or not outcome.energy.samples:
            return
        path = self._data / "samples" / f"{self.run.run}.jsonl"
        most = self.room if self.wish.full else SAMPLES_LIMIT
        await self._file("samples", path, "the meters' file is gone", most, outcome.energy.samples_root)

    async def _openings(self, receipt: Receipt | None) -> None:
        """What a confidential job's receipt does not tell."""
        if receipt is None or not receipt.commitments:
            return
        text = await self.journal.openings(self.run.run)
        if text is None:
            self._lack("openings", "the journal has them no more")
        else:
            self._put("openings", text.encode())

    async def _definition(self) -> None:
        """Kept here until the run is settled; then wherever it was pinned, unless its owner sent it."""
        path = self._data / "definitions" / f"{self.run.run}.json"
        if await asyncio.to_thread(path.exists):
            return await self._file("definition", path, "it has just been removed")
        if self.records.delivered:
            return self._lack("definition", "its owner sent it, and it is removed once the job is settled")
        body = await self._asked(self.sources.content(self.run.definition_cid, self.room))
        if body is None:
            return self._lack("definition", "it is removed once the job is settled, and no store gave it back")
        self._put("definition", body)
        return None

    async def _logs(self) -> None:
        for state in self.records.states:
            if state.log is not None and state.log.path:
                path = self._data / state.log.path
                await self._file(f"log/{state.index}", path, "the file is gone", root=state.log.root)

    # --- how a part comes in ---

    @property
    def _data(self) -> Path:
        return self.settings.locations.data

    async def _kept(self, name: str, cid: Cid) -> bytes | None:
        """A document by its CID: this host's copy, else that of a store."""
        try:
            body: bytes | None = await LocalStore(self.settings.locations.content).fetch(cid, self.room)
        except ContentTooLarge:
            self._lack(name, "with it the bundle would be too large")
            return None
        except ContentError:
            body = await self._asked(self.sources.content(cid, self.room))
        if body is None:
            self._lack(name, "this host does not have it any more, and no store gave it back")
            return None
        if not self._put(name, body):
            return None
        self.cids[name] = cid
        return body

    async def _asked(self, question: Coroutine[Any, Any, bytes | None]) -> bytes | None:
        """What somebody else has, in what is left of the time for that. Why not is not told: it has addresses in it."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.patience):
                return await question
        except (GpunodeError, TimeoutError):
            return None
        finally:
            self.patience = max(0.0, self.patience - (time.monotonic() - began))

    async def _file(self, name: str, path: Path, absent: str, most: int | None = None, root: str | None = None) -> None:
        """`root`: what the file hashed to when the receipt was made; another would only accuse this host falsely."""
        limit = self.room if most is None else min(most, self.room)
        try:
            body = await asyncio.to_thread(_read, path, limit)
        except FileNotFoundError:
            return self._lack(name, absent)
        except OSError as error:
            return self._lack(name, f"it cannot be read: {error.strerror or error}")
        if body is None:
            return self._lack(name, f"it has more than {limit:,} bytes")
        if root is not None and await asyncio.to_thread(_root, body) != root:
            return self._lack(name, "the file is not whole any more")
        self._put(name, body)
        return None

    def _put(self, name: str, body: bytes) -> bool:
        size = encoded_size(body)
        if size > self.room:
            self._lack(name, f"with its {len(body):,} bytes the bundle would be too large")
            return False
        self.room -= size
        self.parts[name] = body
        return True

    def _lack(self, name: str, why: str) -> None:
        self.missing.append(BundleMissing(part=name, why=why))


def _read(path: Path, limit: int) -> bytes | None:
    with path.open("rb") as file:
        body = file.read(limit + 1)
    return body if len(body) <= limit else None


def _root(body: bytes) -> str:
    hasher = MerkleHasher()
    hasher.update(body)
    return hasher.root()


def _card_cid(text: str | None) -> Cid | None:
    """Of the host card last made, by the journal's note of it (node/agent/registrar.py)."""
    try:
        kept = read_json(text or "{}", limit=1 << 16)
    except JsonRefused:
        return None
    cid = kept.get("cid") if isinstance(kept, dict) else None
    return Cid(cid) if isinstance(cid, str) else None
