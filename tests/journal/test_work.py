"""GPU work proofs and ladders in the journal."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

from node.journal import schema
from node.journal.journal import Journal
from node.journal.pruning import Keep
from node.journal.reader import JournalReader
from node.records import Address, Cid, OutboxRow, OutboxState, Signature, WorkReference
from node.records_proofs import KeptLadder, KeptProof, OpenWork, PastWork

REFERENCE = WorkReference(
    sha256="ab" * 32,
    cid=Cid("QmProof"),
    root="cd" * 32,
    signature=Signature("sig"),
    engine="cpu",
    gpu="cpu",
    made_ms=150_000,
)
PROOF = KeptProof(
    lane="main",
    reference=REFERENCE,
    size=256,
    rounds=7,
    document_bytes=2_000_000,
    milliseconds=1000,
    joules=42.5,
    metered=True,
    seed_slot=10,
    seed_time=100,
    anchor_slot=40,
    anchor_time=112,
)


async def test_a_proof_from_its_begin_to_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    async with await Journal.open(path, lambda: 100.0) as journal:
        run = await journal.work.begin("main", "cpu", "cpu", 900.0)
        assert await journal.work.open() == (OpenWork(run, "main", "cpu", 100.0, 900.0, None),)
        assert await journal.work.past(0.0) == ()
        await journal.work.rooted(run, REFERENCE.root)
        (begun,) = await journal.work.open()
        assert begun.root == REFERENCE.root
        assert await journal.work.newest("main") is None
        await journal.work.done(run, PROOF, "cdcd.work.json", ["one", "two"])
        assert await journal.uploads.stores() == {"one", "two"}
    reader = await JournalReader.open_readonly(path)
    async with reader:
        assert await reader.work.open() == ()
        assert await reader.work.past(99.0) == (PastWork("main", "cpu", 100.0, 42.5, True),)
        assert await reader.work.past(101.0) == (PastWork("main", "cpu", 100.0, 42.5, True),), "the last is remembered"
        assert await reader.work.newest("main") == PROOF
        assert await reader.work.newest("other") is None
    assert PROOF.rate == PROOF.operations / 12
    assert replace(PROOF, anchor_time=109).rate is None, "too short to tell"


async def test_what_was_given_up_has_cost_energy_and_its_memo_is_not_signed_anew(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path / "j.sqlite", lambda: 100.0) as journal:
        row = OutboxRow("memo:work:cd", "main", "memo", OutboxState.SENDING, b"wire", Signature("s"), 9, 1, 100.0)
        await journal.outbox.put(row)
        await journal.outbox.put(replace(row, key="memo:work:ef", state=OutboxState.CONFIRMED))
        for key in ("memo:work:cd", "memo:work:ef"):
            run = await journal.work.begin("main", "cpu", "cpu", 900.0)
            await journal.work.give_up(run, "cut", 12.0, key)
        cut = PastWork("main", "cpu", 100.0, 12.0, False)
        assert await journal.work.past(0.0) == (cut, cut)
        assert await journal.work.past(100.0) == ()
        sending, landed = await journal.outbox.pending("main")
        assert (sending.attempt > 1000, landed.attempt) == (True, 1)


async def test_documents_are_kept_while_somebody_needs_them(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path / "j.sqlite", lambda: 100.0) as journal:
        for number in range(5):
            run = await journal.work.begin("main", "cpu", "cpu", 1.0)
            made = replace(REFERENCE, cid=Cid(f"Qm{number}"), sha256=f"{number:064x}")
            # The third still has to go to a store.
            await journal.work.done(run, replace(PROOF, reference=made), "name", ["one"] if number == 2 else [])
        db = sqlite3.connect(tmp_path / "j.sqlite")
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute(
            "INSERT INTO receipts (run, lane, seq, receipt_cid, result_cid, work) VALUES ('r', 'main', 1, 'a', 'b', ?)",
            (f"{1:064x}",),
        )
        db.commit()
        assert await journal.work.superfluous(150.0) == (), "not old enough"
        assert [cid for _, cid in await journal.work.superfluous(151.0)] == ["Qm0", "Qm3"]
        await journal.work.forget([run for run, _ in await journal.work.superfluous(151.0)])
        assert await journal.work.superfluous(151.0) == ()
        newest = await journal.work.newest("main")
        assert newest is not None
        assert newest.reference.cid == "Qm4"
        assert len(await journal.work.past(0.0)) == 5, "what they cost stays"


async def test_old_proofs_that_came_to_nothing_are_forgotten(tmp_path: Path) -> None:
    now = [100.0]

    async def rest() -> None:
        """No need to."""

    async with await Journal.open(tmp_path / "j.sqlite", lambda: now[0]) as journal:
        run = await journal.work.begin("main", "cpu", "cpu", 1.0)
        await journal.work.done(run, PROOF, "name", [])
        for _ in range(3):
            await journal.work.give_up(await journal.work.begin("main", "cpu", "cpu", 1.0), "cut", 1.0, None)
        now[0] += 29 * 86_400
        assert await journal.prune(Keep(), rest) == {}
        now[0] += 2 * 86_400
        assert await journal.prune(Keep(), rest) == {"work_runs": 3}
        assert await journal.work.newest("main") == PROOF


async def test_the_newest_ladder_of_each_device(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path / "j.sqlite") as journal:
        assert await journal.work.ladder_for(["A"]) is None
        for digest, gpu, at in (("1", "cpu", 10), ("2", "A", 20), ("3", "cpu", 30), ("4", "A", 15)):
            await journal.work.add_ladder(KeptLadder(digest, b"{}", gpu, at))
            await journal.work.add_ladder(KeptLadder(digest, b"{}", gpu, at))
        assert [each.digest for each in await journal.work.ladders()] == ["3", "2"]
        assert await journal.work.ladder_for(["B", "A"]) == "2"
        assert await journal.work.ladder_for(["B"]) == "3", "that of the processors"


async def test_a_journal_from_before_gets_the_tables_and_keeps_its_receipts(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    before = next(n for n, text in enumerate(schema.MIGRATIONS) if "work_runs" in text)
    db = sqlite3.connect(path, isolation_level=None)
    assert schema.migrate(db, schema.MIGRATIONS[:before]) == before
    db.execute("INSERT INTO receipts (run, lane, seq, receipt_cid, result_cid) VALUES ('r', 'main', 1, 'QmA', 'QmB')")
    db.close()
    path.chmod(0o600)
    async with await Journal.open(path) as journal:
        assert await journal.work.newest("main") is None
        link = await journal.receipt(Address("r"))
        assert link is not None
        assert link.receipt_cid == "QmA"
