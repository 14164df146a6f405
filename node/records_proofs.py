"""Records of GPU work proofs and precision ladders, as the journal keeps them and commands show them."""

from __future__ import annotations

from dataclasses import dataclass

from node.records import WorkReference

LEAST_RATE_SECONDS = 10
"""Below this the whole seconds of block times are too coarse for a rate."""


@dataclass(frozen=True, slots=True)
class KeptProof:
    """A work proof that was made, anchored and opened."""

    lane: str
    reference: WorkReference
    size: int
    """Rows of the matrices."""
    rounds: int
    document_bytes: int
    milliseconds: int
    """For which products were made, as the prover states it."""
    joules: float
    """That it cost: metered, or (see `metered`) the most it can have cost."""
    metered: bool
    seed_slot: int
    seed_time: int | None
    """Unix seconds by the chain; None where the endpoint did not say."""
    anchor_slot: int
    anchor_time: int | None

    @property
    def operations(self) -> int:
        """Multiplications and additions that it stands for."""
        return 2 * self.size**3 * self.rounds

    @property
    def rate(self) -> float | None:
        """Operations a second at least, by the chain's times; None where it was too short to tell, or these are not
        known."""
        if self.seed_time is None or self.anchor_time is None:
            return None
        seconds = self.anchor_time - self.seed_time
        return self.operations / seconds if seconds >= LEAST_RATE_SECONDS else None


@dataclass(frozen=True, slots=True)
class OpenWork:
    """A proof that was begun and has not come to an end, as far as the journal knows."""

    id: int
    lane: str
    gpu: str
    began: float
    """Unix seconds."""
    joules: float
    """The most it can cost."""
    root: str | None
    """Hex; None: none was reached. With one, its memo may be on the chain."""


@dataclass(frozen=True, slots=True)
class PastWork:
    """A proof that has ended, one way or another; what it used counts against the day's energy."""

    lane: str
    gpu: str
    began: float
    joules: float
    done: bool
    """Whether it was anchored and opened."""


@dataclass(frozen=True, slots=True)
class KeptLadder:
    """A precision ladder that was measured on this host."""

    digest: str
    """SHA-256 of the document; hex."""
    body: bytes
    """The canonical document."""
    gpu: str
    """UUID of the GPU; `cpu` for the processors."""
    measured_ms: int
    """Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class WorkOutlook:
    """What a lane does about work proofs: the newest, and when the next is due."""

    lane: str
    engine: str | None
    """`cuda`, `cpu`, or None: none are made."""
    why: str
    """Which engine, or why none; then what is waited for."""
    running: bool
    next_at: float | None
    """Unix seconds, if the lane is queued and idle then; None: none is due."""
    newest: KeptProof | None


@dataclass(frozen=True, slots=True)
class ProofsKnown:
    """All that `gpunode gpus` shows of proofs."""

    work: tuple[WorkOutlook, ...]
    ladders: tuple[KeptLadder, ...]
    """The newest of each device, the newest first."""
    joules_today: float | None
    """That work proofs of the last 24 h have used on this host; None: not known."""
    daily_joules: float
