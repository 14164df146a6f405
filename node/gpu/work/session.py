"""One proof from its seed's block to its document. What it asks of the chain and of the journal is said here, and is
given to it by whoever has them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from node.gpu.work.challenge import OPENINGS, WorkChallenge
from node.gpu.work.process import WorkDone, WorkOpened, working


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the chain."""

    slot: int
    blockhash: str
    """Base58."""
    time: int | None = None
    """Unix seconds by the chain, where the endpoint knows."""


@dataclass(frozen=True, slots=True)
class Anchored:
    """Where the root's memo has landed."""

    slot: int
    signature: str
    time: int | None = None
    """Unix seconds of its block, where the endpoint knows."""


class WorkChain(Protocol):
    """What a proof needs of the chain. Each raises ChainError."""

    async def newest_block(self) -> Block:
        """The newest confirmed block. Confirmed, because the work is lost with a block that a fork drops; the newest,
        because its time counts."""
        ...

    async def anchor(self, root: str) -> Anchored:
        """Send a memo with this root (node.proof.memo.work_memo), signed by the node's key, through the outbox; where
        it is when it is finalized."""
        ...

    async def block_after(self, slot: int) -> Block:
        """The first block after this slot, slots without a block passed over; finalized."""
        ...


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """What is to be made."""

    node: str
    engine: str
    """`cuda` or `cpu`."""
    gpu: str | None
    """The GPU's UUID; None: none is used."""
    seconds: float
    size: int | None
    purpose: str = "idle"
    openings: int = OPENINGS


@dataclass(frozen=True, slots=True)
class WorkMade:
    """A proof that is done; `opened.sha256` is what the next receipt names."""

    challenge: WorkChallenge
    seed: Block
    done: WorkDone
    anchored: Anchored
    after: Block
    opened: WorkOpened


async def not_noted(_root: str) -> None:
    """For proofs of which nothing is kept."""


async def make_proof(
    order: WorkOrder, chain: WorkChain, path: Path, *, on_root: Callable[[str], Awaitable[None]] = not_noted
) -> WorkMade:
    """Make one proof and write its document to `path`. Raises GpuError or ChainError; cancelled for a job, it leaves
    within the time that a kill takes, and the GPU's memory is free.

    `on_root`: told the root before it is sent, because from then on the memo may land whatever becomes of this; what it
    notes must be durable when it returns.
    """
    async with working() as helper:
        # The engine first: compiling takes seconds, which would count against the rate if the seed were known.
        await helper.start(order.engine, order.gpu)
        seed = await chain.newest_block()
        challenge = WorkChallenge(seed.blockhash, seed.slot, order.node, order.gpu or "cpu", order.purpose)
        done = await helper.prove(challenge, seconds=order.seconds, size=order.size, openings=order.openings)
        await on_root(done.root)
        anchored = await chain.anchor(done.root)
        after = await chain.block_after(anchored.slot)
        opened = await helper.open(after.slot, after.blockhash, path)
        return WorkMade(challenge, seed, done, anchored, after, opened)
