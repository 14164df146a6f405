"""Making bundles out of a journal and a data folder: what they hold, what they leave out, and what they lack."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from node.agent import bundle_parts
from node.agent.bundle import BundleMaker, sign_with
from node.agent.bundle_parts import BundleWish
from node.agent.bundle_sources import Sources
from node.api.client import ControlClient
from node.api.control import ControlServer
from node.chain.clusters import DEVNET
from node.chain.policy import SpendingPolicy
from node.chain.wallet import Wallet
from node.content.cid import file_cid
from node.content.folder import LocalStore
from node.errors import ChainError, ControlError, WalletError
from node.journal.journal import Journal
from node.journal.reader import JournalReader
from node.proof.bundle import Bundle, parse_bundle
from node.proof.bundle_check import verify_bundle
from node.proof.commitments import conceal
from node.proof.envelope import canonical
from node.proof.receipt import hidden_of
from node.records import (
    Cid,
    FetchedDefinition,
    Leg,
    LegKind,
    Refusal,
    SettleKind,
    Settlement,
    Signature,
    Stage,
    WorkReference,
)
from node.settings import Settings
from tests.agent.bundled import DEFINITION, GIVEN, LOG, MARK, SAMPLES, Nowhere, begin, outcome_of, settings_of, settled
from tests.api.double import DoublePort
from tests.gpu.work.examples import proof
from tests.proof.outside.bundle import failed_lines
from tests.proof.test_receipt import JOB, KEY, NODE, RUN

FULL = BundleWish(full=True)
SIGNER = Wallet(KEY).signer(SpendingPolicy(DEVNET, {}))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


async def opened(settings: Settings) -> Journal:
    settings.locations.data.mkdir(parents=True, exist_ok=True)
    return await Journal.open(settings.locations.journal, lambda: 1000.0)


def maker(settings: Settings, journal: JournalReader, sources: Sources | None = None) -> BundleMaker:
    keys = {NODE: SIGNER.sign_document}
    return BundleMaker(settings, journal, lambda run: sign_with(keys, run), sources or Nowhere(), lambda: 2000.5)


async def made(settings: Settings, wish: BundleWish | None = None, sources: Sources | None = None) -> Bundle:
    async with await JournalReader.open_readonly(settings.locations.journal) as journal:
        body = await maker(settings, journal, sources).make(JOB.address, wish or BundleWish())
    verification = verify_bundle(body, JOB.address)
    assert verification.ok, [check for check in verification.checks if check.ok is False]
    assert failed_lines(body) == [], "a verifier that shares no code with ours"
    return parse_bundle(body)


def payload(bundle: Bundle) -> str:
    """All text of a bundle, parts decoded as far as they can be."""
    texts = [canonical(bundle.account.document()).decode()]
    for body in bundle.parts.values():
        texts.append(body.decode("latin-1"))
        with contextlib.suppress(ValueError, KeyError, TypeError):
            texts.append(base64.b64decode(json.loads(body)["payload"]).decode())
    return "\n".join(texts)


def lacking(bundle: Bundle) -> dict[str, str]:
    return {each.part: each.why for each in bundle.account.missing}


async def test_a_settled_job(settings: Settings) -> None:
    async with await opened(settings) as journal:
        await settled(journal, settings)
    bundle = await made(settings)
    said = bundle.account
    assert set(bundle.parts) == {"receipt", "settle", "card", "samples"}
    assert bundle.parts["samples"] == SAMPLES
    assert (said.made_ms, said.full, said.agent.split("/")[0]) == (2_000_500, False, "gpunode")
    assert (said.job.job, said.job.run, said.job.node, said.job.slot) == (JOB.address, RUN.address, NODE, 500)
    assert (said.end.stage, said.end.cause, said.end.refused) == ("done", "completed", None)
    assert said.settlement is not None
    assert (said.settlement.kind, said.settlement.slot, said.settlement.pay) == ("finish", 520, 300)
    assert [each.stage for each in said.stages] == ["fetch", "admit", "run", "report", "settle", "done"]
    (operation,) = said.operations
    assert (operation.exit_code, operation.status, operation.starts) == (137, "failed", 2)
    assert operation.out_of_memory
    assert [(error.event, error.code) for error in operation.errors] == [("container-runtime-error", 7)]
    assert operation.isolation is not None
    assert (operation.isolation.profile, operation.isolation.milli_cpus) == ("standard", 1500)
    assert [(gpu.uuid, gpu.errors) for gpu in said.gpus] == [("GPU-7", ("Xid 79: fallen off the bus",))]
    assert (said.relaxations.admitted, said.relaxations.made) == (("limits.inodes",), ("network.filter",))
    assert said.missing == ()
    assert said.left_out == ("definition", "result", "log", "words")


async def test_nothing_of_the_posters_is_in_a_redacted_bundle(settings: Settings) -> None:
    async with await opened(settings) as journal:
        await settled(journal, settings)
    redacted, full = await made(settings), await made(settings, FULL)
    assert MARK not in payload(redacted)
    for what in ("log", "error", "job error", "stopping"):
        assert f"{MARK} {what}" in payload(full), what
    for what in ("command", "environment", "entrypoint", "label", "engine", "violation"):
        assert f"{MARK} {what}" not in payload(full), "a plan is no part of any bundle"


async def test_nothing_of_the_operators_is_in_any(settings: Settings, tmp_path: Path) -> None:
    async with await opened(settings) as journal:
        await settled(journal, settings)
    for cid in settings.locations.content.iterdir():
        cid.unlink()
    for bundle in (await made(settings), await made(settings, FULL)):
        for secret in (str(tmp_path), "OPERATORS-SECRET", "main.json", "127.0.0.1"):
            assert secret not in payload(bundle)
        assert set(lacking(bundle)) >= {"receipt", "card"}


async def test_a_full_bundle(settings: Settings) -> None:
    async with await opened(settings) as journal:
        await settled(journal, settings)
    bundle = await made(settings, FULL, Pinned(DEFINITION))
    assert bundle.parts["log/0"] == LOG
    assert bundle.parts["definition"] == DEFINITION
    assert MARK.encode() in bundle.parts["result"]
    assert bundle.account.words is not None
    assert bundle.account.words.operations == (("a", f"{MARK} error", f"{MARK} stopping"),)
    assert (bundle.account.left_out, bundle.account.missing) == ((), ())
    assert "no store gave it back" in lacking(await made(settings, FULL))["definition"]


class Pinned(Nowhere):
    """A store that has one file, and a ledger that has one transaction."""

    def __init__(self, body: bytes, wire: bytes = b"") -> None:
        self.body = body
        self.landed = wire

    async def content(self, cid: Cid, limit: int) -> bytes:
        assert len(self.body) <= limit
        return self.body

    async def wire(self, signature: Signature) -> bytes | None:
        return self.landed or None


async def test_a_confidential_job_keeps_its_secrets_unless_told(settings: Settings) -> None:
    reveal = conceal(hidden_of(outcome_of(), None))
    async with await opened(settings) as journal:
        await settled(journal, settings, reveal)
        await journal.reveals.keep(RUN.address, canonical(reveal.document()).decode())
    redacted, full = await made(settings), await made(settings, FULL)
    for secret in (MARK, "ab" * 32, "cd" * 32, reveal.openings[0].salt):
        assert secret not in payload(redacted)
    assert json.loads(full.parts["openings"]) == reveal.document()
    assert full.parts["log/0"] == LOG


async def test_a_settle_transaction_that_the_journal_has_not_is_asked_for(settings: Settings) -> None:
    async with await opened(settings) as journal:
        await settled(journal, settings)
        wire = await journal.settle_wire(RUN.address)
        assert wire is not None
        settlement = Settlement(JOB.address, SettleKind.FINISH, Signature("x" * 64), 520, 300, None)
        await journal.settle(RUN.address, settlement)
        assert await journal.settle_wire(RUN.address) is None
    assert (await made(settings, sources=Pinned(b"", wire))).parts["settle"] == wire
    for sources in (Nowhere(), Pinned(b"")):
        assert "no endpoint gave it" in lacking(await made(settings, sources=sources))["settle"]


async def test_who_takes_too_long_is_not_waited_for(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Nowhere):
        async def content(self, cid: Cid, limit: int) -> bytes:
            await asyncio.Event().wait()
            raise ChainError("never")

    monkeypatch.setattr(bundle_parts, "PATIENCE", 0.01)
    async with await opened(settings) as journal:
        await settled(journal, settings)
    assert "definition" in lacking(await made(settings, FULL, Slow()))


async def test_a_job_at_hand(settings: Settings) -> None:
    async with await opened(settings) as journal:
        await begin(journal, settings)
    redacted, full = await made(settings), await made(settings, FULL)
    assert (redacted.account.end.stage, redacted.account.settlement) == ("admit", None)
    assert lacking(redacted) == {"receipt": "it is not made yet", "settle": "the run is not settled yet"}
    assert set(redacted.parts) == {"card"}
    assert full.parts["definition"] == DEFINITION


async def test_a_job_that_was_given_back(settings: Settings) -> None:
    run = RUN.address
    async with await opened(settings) as journal:
        await begin(journal, settings)
        await journal.finish_stage(run, Stage.ADMIT, Refusal(JOB.address, f"{MARK} is not allowed"), Stage.SETTLE)
        settlement = Settlement(JOB.address, SettleKind.QUIT, Signature("y" * 64), 505, 0, None, reason=f"{MARK} no")
        await journal.settle(run, settlement)
    redacted, full = await made(settings), await made(settings, FULL)
    assert redacted.account.end.refused == "admit"
    assert redacted.account.settlement is not None
    assert redacted.account.settlement.kind == "quit"
    assert "given back" in lacking(redacted)["receipt"]
    assert MARK not in payload(redacted)
    assert full.account.words is not None
    assert full.account.words.refusal == f"{MARK} is not allowed"


async def test_a_lost_job(settings: Settings) -> None:
    async with await opened(settings) as journal:
        await begin(journal, settings)
        await journal.settle(RUN.address, Settlement(JOB.address, SettleKind.LOST, None, None, 0, None, reason="gone"))
    assert "lost" in lacking(await made(settings))["settle"]


async def test_a_definition_that_its_owner_sent_is_gone_with_the_job(settings: Settings) -> None:
    async with await opened(settings) as journal:
        await begin(journal, settings)
        fetched = FetchedDefinition(GIVEN.job.definition_cid, b"", "delivered", send=Leg(LegKind.LISTEN))
        await journal.finish_stage(RUN.address, Stage.FETCH, fetched, Stage.ADMIT)
    (settings.locations.data / "definitions" / f"{RUN.address}.json").unlink()
    bundle = await made(settings, FULL, Pinned(b"the pinned one is another"))
    assert "its owner sent it" in lacking(bundle)["definition"]


async def test_what_does_not_fit_is_left_out_and_said(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with await opened(settings) as journal:
        await settled(journal, settings)
    (settings.locations.data / "logs" / "x-0.jsonl").write_bytes(LOG * 1000)
    monkeypatch.setattr(bundle_parts, "MAX_PARTS_BYTES", 20_000)
    full = await made(settings, FULL)
    assert "more than" in lacking(full)["log/0"]
    assert {"receipt", "settle", "card", "result"} <= set(full.parts)
    monkeypatch.setattr(bundle_parts, "SAMPLES_LIMIT", 3)
    assert "more than 3 bytes" in lacking(await made(settings))["samples"]


async def test_the_work_proof_that_the_receipt_names(settings: Settings) -> None:
    body = proof(openings=1024).body()
    cid = file_cid(body)
    work = WorkReference(hashlib.sha256(body).hexdigest(), cid, "00" * 32, Signature("5" * 88), "cpu", "", 1000)
    async with await opened(settings) as journal:
        await settled(journal, settings, work=work)
    assert "no store gave it back" in lacking(await made(settings))["work"]
    async with await JournalReader.open_readonly(settings.locations.journal) as journal:
        asked = parse_bundle(await maker(settings, journal, Pinned(body)).make(JOB.address, BundleWish()))
    assert asked.parts["work"] == body
    await LocalStore(settings.locations.content).add_file("work", body)
    async with await JournalReader.open_readonly(settings.locations.journal) as journal:
        bundle = parse_bundle(await maker(settings, journal).make(JOB.address, BundleWish()))
    assert bundle.parts["work"] == body
    assert bundle.account.cids["work"] == cid


async def test_files_that_were_cut_are_not_handed_on(settings: Settings) -> None:
    """A full disk ends the samples' file and not the job: that is no reason to accuse oneself."""
    async with await opened(settings) as journal:
        await settled(journal, settings)
    (settings.locations.data / "samples" / f"{RUN.address}.jsonl").write_bytes(SAMPLES[:8])
    (settings.locations.data / "logs" / "x-0.jsonl").write_bytes(LOG[:-1])
    bundle = await made(settings, FULL)
    assert lacking(bundle)["samples"] == lacking(bundle)["log/0"] == "the file is not whole any more"


async def test_another_nodes_job_is_not_signed(settings: Settings) -> None:
    async with await opened(settings) as journal:
        await settled(journal, settings)
        with pytest.raises(WalletError, match="its key is not at hand"):
            await BundleMaker(settings, journal, lambda run: sign_with({}, run), Nowhere()).make(JOB.address, FULL)
        with pytest.raises(ControlError, match="no such job"):
            await maker(settings, journal).make("nobody", FULL)


async def test_a_pruned_job_still_has_receipt_and_pay(settings: Settings) -> None:
    from node.journal.pruning import Keep

    async def rest() -> None:
        return None

    async with await opened(settings) as journal:
        await settled(journal, settings)
        journal._now = lambda: 1000.0 + 400 * 86_400
        await journal.prune(Keep(job_days=1), rest)
        assert await journal.stage_record(RUN.address, Stage.RUN) is None
        body = await maker(settings, journal).make(RUN.address, BundleWish())
    verification = verify_bundle(body)
    assert {check.name for check in verification.checks if check.ok is False} <= {"bundle_agrees"}
    assert parse_bundle(body).parts["receipt"]


# --- over the control socket --------------------------------------------------------------------------------


class SigningPort(DoublePort):
    """An agent with a real maker of bundles behind its socket."""

    def __init__(self, maker: BundleMaker) -> None:
        super().__init__()
        self.maker = maker

    async def bundle(self, address: str, *, full: bool, earlier: int | None) -> bytes:
        return await self.maker.make(address, BundleWish(full, earlier if earlier is not None else 8))


async def test_the_agent_signs_only_what_it_made_itself(settings: Settings) -> None:
    async with await opened(settings) as journal:
        await settled(journal, settings)
        port = SigningPort(maker(settings, journal))
        place = settings.locations.control_socket
        async with ControlServer(port, place), ControlClient(place) as client:
            body = await client.bundle(JOB.address, full=True, earlier=0)
            assert verify_bundle(body, JOB.address).ok
            for extra in ({"payload": "x"}, {"account": {}}, {"node": NODE}):
                answer = await client._http.post("/v1/bundle", content=json.dumps({"job": JOB.address, **extra}))
                assert answer.status_code == 400
            wrong: tuple[dict[str, Any], ...] = ({}, {"job": 5}, {"job": JOB.address, "earlier": -1})
            for each in wrong:
                assert (await client._http.post("/v1/bundle", content=json.dumps(each))).status_code == 400
            with pytest.raises(ControlError, match="no such job"):
                await client.bundle("nobody", full=False, earlier=8)
