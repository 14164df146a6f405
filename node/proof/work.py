"""Checking a GPU work proof: with the document alone, or with what the chain says of its two moments.

What holds afterwards: whoever holds the node's key had at least so many exact int8 products made between the seed's
block and the anchor's. Not which device made them, nor where, nor that it made them for this key only: one device can
serve many keys, each of which then shows a smaller rate. Products count as the schoolbook counts them; a faster
algorithm for products of matrices would need fewer, by some tenths at best.

How it can be cheated, and what then: leaving out the share f of the work passes with (1-f)^openings, for each anchor
that was tried (each is on the chain); a block's leader who helps may choose among a few blockhashes, which counts as
so many more tries; another device than the one named is not noticed.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.errors import GpuError
from node.gpu.work import hashes
from node.gpu.work.challenge import OPENINGS, WorkChallenge
from node.gpu.work.document import WorkProof, opening_bytes, parse_proof
from node.gpu.work.stream import picks
from node.proof.checks import Check, Ledger
from node.proof.work_products import Opened, products_hold
from node.records import Address

LEAST_SECONDS = 10
"""Block times are whole seconds that validators agree on; below this their error is too much of a rate."""
MOST_LOST = 0.01
"""The share of left-out work whose chance to pass is told."""


@dataclass(frozen=True, slots=True)
class WorkAnchors:
    """What the chain says; whoever reads it vouches for it. Slots, blockhashes, and unix seconds of blocks."""

    node: Address
    """Whose memo anchored the root."""
    root: str
    """In the memo; hex."""
    seed_blockhash: str
    """Of the block in the slot that the challenge names."""
    seed_time: int
    anchor_slot: int
    anchor_time: int
    after_slot: int
    """Of the first block after the anchor's."""
    after_blockhash: str
    tries: int = 1
    """Work memos of this node from the seed's slot to the anchor's, this one included."""


@dataclass(frozen=True, slots=True)
class WorkVerdict:
    """What was found, part by part."""

    proof: WorkProof | None
    checks: tuple[Check, ...]
    rate: float | None
    """Operations a second at least; None where the chain was not asked, the time is too short, or a check failed."""

    @property
    def ok(self) -> bool:
        """Whether no part failed."""
        return all(check.ok is not False for check in self.checks)

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the parts that failed, in order."""
        return tuple(check.name for check in self.checks if check.ok is False)


def verify_work(
    body: bytes,
    *,
    node: Address | None = None,
    gpu: str | None = None,
    anchors: WorkAnchors | None = None,
    least_openings: int = OPENINGS,
    secret: bytes | None = None,
    unknown: str = "the chain was not asked",
) -> WorkVerdict:
    """Check a proof document.

    `node`, `gpu`: whose work it must be; None: not compared. `anchors`: what the chain says; without it the two moments
    are not checked. `least_openings`: fewer prove too little. `secret`: 32 bytes that choose the random combination;
    None: fresh ones, which is as it should be; given ones make a check repeatable. `unknown`: why there are no anchors.
    Raises nothing: what is wrong is a check.
    """
    ledger = Ledger()
    try:
        proof = parse_proof(body)
    except GpuError as error:
        ledger.proven("work_document", False, error.message)
        return WorkVerdict(None, tuple(ledger.checks), None)
    ledger.proven("work_document", True, f"{len(body):,} bytes, {proof.rounds} rounds of size {proof.size}")
    _names(ledger, proof.challenge, node, gpu)
    _derivation(ledger, proof)
    _moments(ledger, proof, anchors, unknown)
    _openings(ledger, proof, least_openings, secret)
    good = all(check.ok is not False for check in ledger.checks)
    rate = _rate(ledger, proof, anchors, good, unknown)
    _said(ledger, proof)
    return WorkVerdict(proof, tuple(ledger.checks), rate)


def _names(ledger: Ledger, challenge: WorkChallenge, node: Address | None, gpu: str | None) -> None:
    if node is not None:
        same = challenge.node == node
        ledger.proven("work_node", same, f"made for node {challenge.node}" + ("" if same else f", not {node}"))
    if gpu is not None:
        same = challenge.gpu == gpu
        ledger.proven("work_gpu", same, f"made under the name {challenge.gpu}" + ("" if same else f", not {gpu}"))


def _derivation(ledger: Ledger, proof: WorkProof) -> None:
    """Whether each value follows from the one before it; a flipped bit shows in the first that does not."""
    seed = hashes.seed_of(proof.challenge)
    ledger.proven("work_challenge", seed == proof.seed, "the seed is that of block, node, GPU and purpose")
    state = hashes.first_state(proof.seed, proof.size)
    for number, root in enumerate(proof.roots, start=1):
        state = hashes.next_state(state, number, root)
    ledger.proven("work_rounds", state == proof.state, f"{proof.rounds} roots, each bound to those before it")
    root = hashes.final_root(proof.state, proof.rounds, proof.size, proof.openings, proof.stated.document())
    ledger.proven("work_root", root == proof.root, f"root {proof.root.hex()}")


def _moments(ledger: Ledger, proof: WorkProof, anchors: WorkAnchors | None, unknown: str) -> None:
    if anchors is None:
        for name in ("work_seed_block", "work_anchor", "work_after_block"):
            ledger.skipped(name, unknown)
        return
    challenge = proof.challenge
    ledger.proven(
        "work_seed_block",
        challenge.blockhash == anchors.seed_blockhash and challenge.slot < anchors.anchor_slot,
        f"slot {challenge.slot} has blockhash {anchors.seed_blockhash}",
    )
    ledger.proven(
        "work_anchor",
        anchors.root == proof.root.hex() and anchors.node == challenge.node,
        f"the memo of {anchors.node} in slot {anchors.anchor_slot} holds {anchors.root}",
    )
    ledger.proven(
        "work_after_block",
        anchors.anchor_slot < anchors.after_slot == proof.after_slot
        and anchors.after_blockhash == proof.after_blockhash,
        f"the first block after it is in slot {anchors.after_slot}, with blockhash {anchors.after_blockhash}",
    )


def _openings(ledger: Ledger, proof: WorkProof, least: int, secret: bytes | None) -> None:
    ledger.proven(
        "work_openings", proof.openings >= least, f"{proof.openings} stretches are opened, {least} are asked for"
    )
    try:
        wanted = picks(
            proof.root,
            proof.after_slot,
            proof.after_blockhash,
            size=proof.size,
            rounds=proof.rounds,
            openings=proof.openings,
        )
    except GpuError as error:
        ledger.proven("work_after_block", False, error.message)
        return
    step = opening_bytes(proof.size)
    wrong = []
    opened = []
    for index, (round_, row, stretch) in enumerate(wanted):
        item = proof.opened[index * step : (index + 1) * step]
        entries, path = item[: hashes.STRETCH_BYTES], item[hashes.STRETCH_BYTES :]
        if _climbed(entries, path, round_, row, stretch, proof.size) != proof.roots[round_ - 1]:
            wrong.append(index)
        opened.append(Opened(round_, row, stretch, entries))
    detail = f"{proof.openings} stretches where root and later block put them, in the rounds' trees"
    if wrong:
        round_, row, stretch = wanted[wrong[0]]
        detail = (
            f"{len(wrong)} of {proof.openings} openings are not in their round's tree where root and later block put"
            f" them; the first is round {round_}, row {row}, stretch {stretch}"
        )
    ledger.proven("work_rows", not wrong, detail)
    held = products_hold(proof, opened, secret)
    ledger.proven("work_products", held is None, held or "the opened entries are those of A times B")


def _climbed(entries: bytes, path: bytes, round_: int, row: int, stretch: int, size: int) -> bytes:
    digest = hashes.leaf(round_, row, stretch, entries)
    index = row * (size // hashes.STRETCH) + stretch
    for at in range(0, len(path), hashes.HASH_BYTES):
        beside = path[at : at + hashes.HASH_BYTES]
        digest = hashes.node(beside, digest) if index & 1 else hashes.node(digest, beside)
        index >>= 1
    return digest


def _rate(ledger: Ledger, proof: WorkProof, anchors: WorkAnchors | None, good: bool, unknown: str) -> float | None:
    if anchors is None:
        ledger.skipped("work_rate", unknown)
        return None
    seconds = anchors.anchor_time - anchors.seed_time
    if not good or seconds < LEAST_SECONDS:
        why = f"{seconds} s are too short for a rate" if good else "the proof does not hold"
        ledger.skipped("work_rate", why)
        return None
    rate = proof.operations / seconds
    missed = min(1.0, anchors.tries * (1 - MOST_LOST) ** proof.openings)
    ledger.proven(
        "work_rate",
        True,
        f"at least {rate / 1e9:,.1f} billion int8 operations a second over {seconds} s, for whoever holds the key; had"
        f" 1 % of it been left out, this would pass with a chance of {missed:.1g} ({anchors.tries} anchors)",
    )
    return rate


def _said(ledger: Ledger, proof: WorkProof) -> None:
    stated = proof.stated
    energy = "not metered" if stated.millijoules is None else f"{stated.millijoules / 1000:.1f} J"
    ledger.stated(
        "work_device",
        f"engine {stated.engine} on {stated.device}, GPU {proof.challenge.gpu}, {stated.milliseconds / 1000:.1f} s,"
        f" {energy}",
    )
