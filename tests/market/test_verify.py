"""`gpunode verify` on the real programs: jobs that were settled one after the other, forks, endpoints that lie."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from node.chain.accounts import RawAccount
from node.chain.memo import memo
from node.chain.replies import BlockSummary, LandedTransaction, SignatureInfo
from node.chain.rpc import Rpc
from node.content.cid import file_cid
from node.errors import ContentUnavailable
from node.gpu.work.session import Anchored, WorkMade, WorkOrder, make_proof
from node.localnet.app import Localnet
from node.market.context import MarketContext
from node.market.settle import Settler
from node.market.work_anchor import WorkAnchorage
from node.proof.checks import Label, Verification
from node.proof.memo import receipt_memo, work_memo
from node.proof.receipt import build_receipt
from node.proof.verify import verify_job
from node.records import (
    Address,
    Assignment,
    Cid,
    EndCause,
    FetchedDefinition,
    Outcome,
    SettleKind,
    Settlement,
    Signature,
    WorkReference,
)
from tests.market.conftest import Town
from tests.market.test_settle import assigned, ready

Change = Callable[[BlockSummary], BlockSummary | None]


@dataclass(frozen=True)
class Told:
    """A job that was settled."""

    given: Assignment
    receipt: Cid
    settled: Settlement

    @property
    def link(self) -> tuple[Cid, Signature]:
        """As the next receipt names it."""
        assert self.settled.signature is not None
        return self.receipt, self.settled.signature


@dataclass
class Shop:
    """A host, its poster and what is stored of its work."""

    town: Town
    net: Localnet
    host: MarketContext
    poster: MarketContext
    files: dict[Cid, bytes] = field(default_factory=dict)

    async def fetch(self, cid: Cid, limit: int) -> FetchedDefinition:
        if cid not in self.files:
            raise ContentUnavailable(f"no {cid}")
        return FetchedDefinition(cid, self.files[cid], "test")

    def keep(self, body: bytes) -> Cid:
        cid = file_cid(body)
        self.files[cid] = body
        return cid

    async def job(self, after: Told | None = None, **more: Any) -> Told:
        """A job done and settled, whose receipt names `after`."""
        given = await assigned(self.town, self.host, self.poster)
        began = time.time()
        head = await self.host.rpc.get_latest_blockhash(min_context_slot=given.slot)
        outcome = Outcome(
            job=given.job.address,
            cause=EndCause.COMPLETED,
            started_ms=round(began * 1000),
            ended_ms=round(time.time() * 1000),
            operations=(),
            end_slot=head.slot,
            end_blockhash=head.blockhash,
        )
        result = self.keep(b'{"opStates":[],"startTime":%d,"status":"success"}' % outcome.started_ms)
        body = build_receipt(
            assignment=given,
            outcome=outcome,
            result=result,
            cluster=self.net.cluster,
            gpus=(),
            agent_version="0.1.0",
            previous=None if after is None else after.link,
            previous_reason="" if after is not None else "the first",
            sign=self.town.signer(self.host.node).sign_document,
            **more,
        )
        receipt = self.keep(body)
        settled = await Settler(self.host).settle(given, result, receipt_memo(receipt))
        assert settled.kind is SettleKind.FINISH
        return Told(given, receipt, settled)

    async def verify(self, told: Told, change: Change | None = None, length: int = 10) -> Verification:
        chain = Endpoint(self.town.rpc, change or (lambda block: block))
        return await verify_job(
            told.given.job.address, cluster=self.net.cluster, chain=chain, content=self, chain_length=length
        )

    async def seen_through(self) -> None:
        """Until nothing of the host's is left that a fork could undo."""
        while await self.host.outbox._store.pending("main"):
            await self.host.outbox.tidy("main")


@dataclass(frozen=True)
class Endpoint:
    """The chain as an endpoint shows it that changes blocks, or keeps none."""

    rpc: Rpc
    change: Change

    async def get_account(self, address: Address) -> RawAccount | None:
        return await self.rpc.get_account(address)

    async def get_transaction(self, signature: Signature) -> LandedTransaction | None:
        return await self.rpc.get_transaction(signature)

    async def get_signatures_for_address(
        self, address: Address, *, limit: int, before: Signature | None = None, until: Signature | None = None
    ) -> tuple[SignatureInfo, ...]:
        return await self.rpc.get_signatures_for_address(address, limit=limit, before=before, until=until)

    async def get_block(self, slot: int) -> BlockSummary | None:
        block = await self.rpc.get_block(slot)
        return None if block is None else self.change(block)


@pytest.fixture
def either_chain(localnet: Localnet) -> Localnet:
    """The embedded chain: forks on demand."""
    return localnet


@pytest_asyncio.fixture
async def shop(localnet: Localnet, town: Town) -> Shop:
    return Shop(town, localnet, await ready(town), await town.person(sol=1, nos=10))


def lines(found: Verification) -> dict[str, bool | None]:
    return {check.name: check.ok for check in found.checks}


def failed(found: Verification) -> list[str]:
    return [f"{check.name}: {check.detail}" for check in found.checks if check.ok is False]


def detail(found: Verification, name: str) -> str:
    return next(check.detail for check in found.checks if check.name == name)


async def test_jobs_in_a_row_verify(shop: Shop) -> None:
    first = await shop.job()
    second = await shop.job(first)
    nonsense = replace(second, settled=replace(second.settled, signature=Signature("nonsense")))
    third = await shop.job(nonsense)
    found = await shop.verify(third)
    assert failed(found) == []
    assert f"was settled again by {second.settled.signature}" in detail(found, "receipt_chain_settled")
    found = await shop.verify(second)
    assert failed(found) == []
    assert found.ok
    proven = {check.name for check in found.checks if check.ok and check.label is Label.PROVEN}
    assert proven >= {"settled", "settle_signed", "memo", "receipt_signature", "pay", "start_block", "end_block"}
    assert proven >= {"receipt_chain", "receipt_chain_settled"}
    assert {name for name, ok in lines(found).items() if ok} >= {"times", "receipts_complete", "next_receipt"}
    assert third.receipt in detail(found, "next_receipt")

    # The same job at endpoints that keep no old blocks, and that make them up.
    pruned = await shop.verify(second, lambda block: None)
    assert pruned.ok
    assert [lines(pruned)[name] for name in ("start_block", "end_block", "times")] == [None, None, None]
    other = file_cid(b"x")[2:46]
    lied = await shop.verify(second, lambda block: replace(block, blockhash=other))
    assert {name for name, ok in lines(lied).items() if ok is False} == {"start_block", "end_block"}
    assert not lied.ok

    # One that names the first before it leaves the others out.
    hiding = await shop.job(first)
    assert [line.partition(":")[0] for line in failed(await shop.verify(hiding))] == ["receipts_complete"]
    assert second.receipt in detail(await shop.verify(hiding), "receipts_complete")
    assert [line.partition(":")[0] for line in failed(await shop.verify(third))] == ["next_receipt"]


async def test_a_settlement_that_a_fork_takes_back_and_that_lands_again(shop: Shop) -> None:
    first = await shop.job()
    second = await shop.job(first)
    shop.net.faults.set({"kind": "fork", "slot": (second.settled.slot or 0) - 1})
    await shop.seen_through()
    again = await Settler(shop.host).settle(second.given, Cid(file_cid(b"unused")), receipt_memo(second.receipt))
    assert again.kind in (SettleKind.ALREADY, SettleKind.LOST)
    found = await shop.verify(second)
    assert failed(found) == []
    assert lines(found)["settled"] is True
    # The next receipt names the settlement that is gone, as an agent does that has not heard of the fork yet.
    third = await shop.job(second)
    after = await shop.verify(third)
    assert failed(after) == []
    assert detail(after, "receipt_chain_settled").startswith("2 settlements")


def reference(shop: Shop, made: WorkMade) -> WorkReference:
    """As a receipt names the proof, whose document is stored."""
    body = made.opened.path.read_bytes()
    assert hashlib.sha256(body).hexdigest() == made.opened.sha256
    return WorkReference(
        sha256=made.opened.sha256,
        cid=shop.keep(body),
        root=made.done.root,
        signature=made.anchored.signature,
        engine="cpu",
        gpu="cpu",
        made_ms=1,
    )


async def test_the_work_proof_that_a_receipt_names(shop: Shop, tmp_path: Path) -> None:
    node = shop.host.node
    order = WorkOrder(node=node, engine="cpu", gpu=None, seconds=0.3, size=256)
    made = await make_proof(order, WorkAnchorage(shop.host, work_memo), tmp_path / "work.json")
    work = reference(shop, made)
    told = await shop.job(work=work)
    found = await shop.verify(told)
    assert failed(found) == []
    held = lines(found)
    expected = ("work_cid", "work_sha256", "work_node", "work_anchor", "work_seed_block", "work_after_block")
    assert all(held[name] for name in (*expected, "work_rows", "work_products", "work_reference", "work_slots"))
    assert held["work_rate"] is held["work_gpus"] is None

    pruned = await shop.verify(told, lambda block: None)
    assert pruned.ok
    assert lines(pruned)["work_anchor"] is None
    assert "holds no block" in detail(pruned, "work_anchor")

    # Another document under the name, and no transaction: the anchor is found all the same.
    other = await shop.job(told, work=replace(work, sha256="00" * 32, signature=Signature("nonsense")))
    found = await shop.verify(other)
    assert [line.partition(":")[0] for line in failed(found)] == ["work_sha256"]
    assert lines(found)["work_anchor"] is True
    del shop.files[work.cid]
    gone = await shop.verify(told)
    assert gone.ok
    assert lines(gone)["work_cid"] is None


@pytest.mark.long
async def test_a_work_proof_without_an_anchor(shop: Shop, town: Town, tmp_path: Path) -> None:
    chain = WorkAnchorage(shop.host, work_memo)

    class Elsewhere:
        """Anchors another root than the proof's."""

        newest_block = staticmethod(chain.newest_block)
        block_after = staticmethod(chain.block_after)

        @staticmethod
        async def anchor(root: str) -> Anchored:
            return await chain.anchor(hashlib.sha256(root.encode()).hexdigest())

    order = WorkOrder(node=shop.host.node, engine="cpu", gpu=None, seconds=0.2, size=256)
    made = await make_proof(order, Elsewhere(), tmp_path / "work.json")
    work = reference(shop, made)
    await town.sign_and_send(shop.host.node, memo(shop.host.node, "hello"))
    told = await shop.job(work=work)
    found = await shop.verify(told)
    assert lines(found)["work_on_chain"] is False
    assert "anchors the root" in detail(found, "work_on_chain")
