"""Provers that cheat. Their proofs are well-formed: every hash is right, only the work is not all there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from node.gpu.work.challenge import WorkChallenge
from node.gpu.work.cpu import CpuEngine
from node.gpu.work.document import WorkProof
from node.gpu.work.prover import open_rows, prove
from tests.gpu.work.examples import AFTER, CHALLENGE

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Lazy(CpuEngine):
    """Leaves out a share of the rows, the same each time it is asked, and puts something cheap in their place."""

    def __init__(self, share: float, seed: int = 0) -> None:
        super().__init__()
        self.share = share
        self.seed = seed
        self.rows_left_out = 0
        self.rows_asked = 0

    def products(self, rows: NDArray[np.int8]) -> NDArray[np.int32]:
        made = super().products(rows)
        # Chosen by the row's own content, so that a row which is opened comes out as it did before.
        marks = rows[:, :4].copy().view("<u4")[:, 0].astype(np.uint64)
        marks = (marks * np.uint64(0x9E3779B97F4A7C15) + np.uint64(self.seed)) >> np.uint64(32)
        lazy = (marks & np.uint64(0xFFFFFFFF)) < np.uint64(int(self.share * 2**32))
        made[lazy] = 7
        self.rows_left_out += int(lazy.sum())
        self.rows_asked += len(rows)
        return made


def cheated(
    engine: CpuEngine,
    *,
    rounds: int,
    openings: int,
    challenge: WorkChallenge = CHALLENGE,
    after: tuple[int, str] = AFTER,
) -> WorkProof:
    """What the engine's prover hands in."""
    done = prove(engine, challenge, size=256, rounds=rounds, openings=openings)
    return open_rows(engine, done, *after)
