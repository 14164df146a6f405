"""A confidential job from end to end, in doubles and with real receipts: what its receipt commits to, who gets to know
what of, and that a death changes none of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from node.agent.edges import ReceiptFacts
from node.agent.openings import read_openings
from node.chain.clusters import DEVNET
from node.content.cid import file_cid
from node.errors import JournalError
from node.marks import Mark, listen
from node.proof.commitments import Reveal, read_reveal
from node.proof.receipt import Receipt, build_receipt, verify_receipt
from node.records import Address, Assignment
from tests.agent.test_logistics import Desk, box, confidential, pinned, waits
from tests.agent.test_pipeline import working
from tests.agent.world import World

KEY = Keypair.from_seed(bytes(range(32)))
NODE = Address(str(KEY.pubkey()))
DEFINITION = b"secret-image"


class SigningDesk(Desk):
    """Results in the network's form, and real receipts."""

    def receipt(self, facts: ReceiptFacts) -> bytes:
        assignment = facts.assignment
        return build_receipt(
            assignment=replace(assignment, run=replace(assignment.run, node=NODE)),
            outcome=facts.outcome,
            result=facts.result_cid,
            cluster=DEVNET,
            gpus=(),
            agent_version="0",
            previous=facts.previous,
            previous_reason=facts.previous_reason,
            reveal=facts.reveal,
            sign=lambda message: bytes(KEY.sign_message(message)),
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.desk = SigningDesk()
    return world


async def worked(world: World, a: Assignment) -> None:
    """Have the definition delivered and its only operation end."""
    await waits(world, a, "waiting-for-job-definition")
    await box(world, a).deliver(DEFINITION)
    await world.clock.until(lambda: bool(world.engine.running))
    world.engine.exit(0)
    await waits(world, a, "waiting-for-result")


def handed(world: World, a: Assignment) -> Reveal:
    """What the owner finds beside the result."""
    return read_reveal(json.loads(box(world, a).result())["gpunode"]["openings"])


async def receipt_of(world: World, a: Assignment) -> tuple[bytes, Receipt]:
    link = await world.journal.receipt(a.run.address)
    assert link is not None
    body = await world.content.fetch(link.receipt_cid, 1 << 20)
    return body, verify_receipt(body, NODE)


async def test_the_owner_can_open_what_the_receipt_commits_to(world: World) -> None:
    a = confidential(world, pinned())
    async with working(world, a) as task:
        await worked(world, a)
        owners = handed(world, a)
        box(world, a).collected()
        await world.clock.until(task.done)
        _, receipt = await receipt_of(world, a)
        kept = await world.journal.openings(a.run.address)
        assert kept is not None
        assert read_openings(kept) == owners
    names = {f"operations.0.{key}" for key in ("id", "image", "command", "log")} | {"delivered"}
    assert set(receipt.commitments) == names
    assert owners.wrong(receipt.commitments) == ()
    values = {opening.name: opening.value for opening in owners.openings}
    assert (values["operations.0.id"], values["delivered"]) == ("op", file_cid(DEFINITION))
    (operation,) = receipt.operations
    assert (operation.id, operation.image, operation.command, operation.log) == ("0", None, None, None)
    # Another's word for a value does not open it.
    (name,) = owners.only(["operations.0.id"]).openings
    assert Reveal((replace(name, value="other"),)).wrong(receipt.commitments) == ("operations.0.id",)
    for data in world.content.files.values():
        assert not any(opening.salt.encode() in data for opening in owners.openings)


async def test_what_only_the_result_of_travels(world: World) -> None:
    """The definition is pinned: nothing was delivered, and the rest is hidden all the same."""
    a = confidential(world, pinned(send=None))
    world.desk.plan = lambda assignment, body, uuids: Desk.plan(world.desk, assignment, b"image", uuids)  # type: ignore[method-assign]
    async with working(world, a) as task:
        await world.clock.until(lambda: bool(world.engine.running))
        world.engine.exit(0)
        await waits(world, a, "waiting-for-result")
        assert "delivered" not in handed(world, a).commitments
        box(world, a).collected()
        await world.clock.until(task.done)
        assert (await receipt_of(world, a))[1].operations[0].id == "0"


async def test_an_ordinary_job_has_none(world: World) -> None:
    a = world.chain.assign(1, definition=world.content.offer(b"image"))
    async with working(world, a) as task:
        await world.clock.until(lambda: bool(world.engine.running))
        world.engine.exit(0)
        await world.clock.until(task.done)
        assert await world.journal.openings(a.run.address) is None
        _, receipt = await receipt_of(world, a)
    assert (receipt.commitments, receipt.operations[0].id) == ({}, "op")


async def test_openings_are_the_same_after_a_death(world: World) -> None:
    a = confidential(world, pinned())
    async with working(world, a):
        await worked(world, a)
        first = handed(world, a)
    async with working(world, a) as task:
        await waits(world, a, "waiting-for-result")
        assert handed(world, a) == first
        box(world, a).collected()
        await world.clock.until(task.done)
        assert first.wrong((await receipt_of(world, a))[1].commitments) == ()


class Died(BaseException):
    """The agent ends here."""


@pytest.mark.parametrize("mark", [Mark.JOURNAL_REVEAL, Mark.JOURNAL_RECEIPT])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_death_around_openings_and_receipt(world: World, mark: Mark, when: str) -> None:
    """Whatever the owner was given opens the receipt that is made in the end; and a receipt that was made is kept."""
    a = confidential(world, pinned())
    owners: list[Reveal] = []
    made: list[bytes] = []
    build = world.desk.receipt

    def receipt(facts: ReceiptFacts) -> bytes:
        made.append(build(facts))
        return made[-1]

    world.desk.receipt = receipt  # type: ignore[method-assign]
    passed = 0

    def die(at: Mark, side: str) -> None:
        nonlocal passed
        if (at, side) == (mark, when):
            passed += 1
            listen(None)
            raise Died

    async def life() -> None:
        async with working(world, a) as task:
            with_owner = asyncio.ensure_future(collect())
            await asyncio.wait({task, with_owner}, return_when=asyncio.FIRST_COMPLETED)
            with_owner.cancel()
            await task

    async def collect() -> None:
        await worked(world, a)
        owners.append(handed(world, a))
        box(world, a).collected()
        await asyncio.Event().wait()

    listen(die)
    try:
        with pytest.raises((Died, BaseExceptionGroup)):
            await life()
    finally:
        listen(None)
    assert passed == 1
    async with working(world, a) as task:
        await ended(world, a, task, owners)
        body, fields = await receipt_of(world, a)
    assert owners
    assert all(each == owners[0] for each in owners)
    assert owners[0].wrong(fields.commitments) == ()
    assert set(made) == {body}


async def ended(world: World, a: Assignment, task: asyncio.Task[Any], owners: list[Reveal]) -> None:
    """A second life, in which the owner collects if asked to."""

    def waiting() -> bool:
        live = world.live.get(a.job.address)
        return task.done() or (live is not None and live.status == "waiting-for-result")

    await world.clock.until(waiting)
    if not task.done():
        owners.append(handed(world, a))
        box(world, a).collected()
    await world.clock.until(task.done)


@pytest.mark.parametrize("text", ["", "[]", '{"a":1}', '{"a":{"salt":"00","value":1}}'])
def test_damaged_openings_are_told(text: str) -> None:
    with pytest.raises(JournalError):
        read_openings(text)
