"""Making a work proof: the rounds, then, when the block after the anchor is known, the openings."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from node.errors import GpuError
from node.gpu.work import hashes
from node.gpu.work.challenge import MOST_ROUNDS, OPENINGS, WorkChallenge, check_shape
from node.gpu.work.cpu import row_leaves
from node.gpu.work.document import Stated, WorkProof
from node.gpu.work.engine import GROUP, Engine, RoundKept
from node.gpu.work.stream import matrix_rows, picks

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH = 64
"""Groups whose products are made again at once."""


@dataclass(frozen=True, slots=True)
class Worked:
    """The rounds of a proof that is to be opened yet; the engine must stay as it is until then."""

    challenge: WorkChallenge
    size: int
    openings: int
    seed: bytes
    states: tuple[bytes, ...]
    """Before the first round, and after each."""
    kept: tuple[RoundKept, ...]
    stated: Stated
    root: bytes
    """What is anchored."""

    @property
    def rounds(self) -> int:
        """How many were made."""
        return len(self.kept)


def prove(
    engine: Engine,
    challenge: WorkChallenge,
    *,
    size: int | None = None,
    rounds: int | None = None,
    seconds: float = 12.0,
    openings: int = OPENINGS,
    energy: Callable[[], int | None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
) -> Worked:
    """Make `rounds` rounds, or as many as end within about `seconds`. Raises GpuError.

    `energy`: millijoules that the device has used since some moment, if it counts them.
    """
    size = size or engine.default_size
    check_shape(size, rounds or 1, openings)
    seed = hashes.seed_of(challenge)
    state = hashes.first_state(seed, size)
    began, joules = clock(), energy()
    engine.begin(hashes.key_b(seed, size), state, size)
    kept: list[RoundKept] = []
    while len(kept) < (rounds or MOST_ROUNDS):
        spent = clock() - began
        if rounds is None and kept and spent >= seconds:
            break
        # About half a second's worth at a time, so that a GPU is not asked anew for each of thousands of rounds.
        pace = max(1, int(0.5 * len(kept) / spent)) if kept and spent > 0 else 1
        kept += engine.advance(min(pace, (rounds or MOST_ROUNDS) - len(kept)))
    states = [state]
    for number, each in enumerate(kept, start=1):
        states.append(hashes.next_state(states[-1], number, each.root))
    used = energy()
    stated = Stated(
        engine=engine.name,
        device=engine.device,
        milliseconds=round((clock() - began) * 1000),
        millijoules=None if used is None or joules is None else used - joules,
    )
    root = hashes.final_root(states[-1], len(kept), size, openings, stated.document())
    return Worked(challenge, size, openings, seed, tuple(states), tuple(kept), stated, root)


def open_rows(engine: Engine, worked: Worked, after_slot: int, after_blockhash: str) -> WorkProof:
    """The proof, opened where the first block after the anchor says. Raises GpuError."""
    wanted = picks(
        worked.root,
        after_slot,
        after_blockhash,
        size=worked.size,
        rounds=worked.rounds,
        openings=worked.openings,
    )
    opened = _Opener(engine, worked).open(wanted)
    return WorkProof(
        challenge=worked.challenge,
        seed=worked.seed,
        size=worked.size,
        roots=tuple(each.root for each in worked.kept),
        state=worked.states[-1],
        stated=worked.stated,
        root=worked.root,
        after_slot=after_slot,
        after_blockhash=after_blockhash,
        openings=worked.openings,
        opened=opened,
    )


class _Opener:
    """Makes the products of the groups that are opened a second time, some at once, and keeps only what is opened."""

    def __init__(self, engine: Engine, worked: Worked) -> None:
        self._engine = engine
        self._worked = worked
        self._across = worked.size // hashes.STRETCH
        self._above: dict[int, list[list[bytes]]] = {}

    def open(self, wanted: list[tuple[int, int, int]]) -> bytes:
        """The openings in order."""
        within: dict[tuple[int, int], set[tuple[int, int, int]]] = {}
        for pick in wanted:
            within.setdefault((pick[0], pick[1] // GROUP), set()).add(pick)
        groups = sorted(within)
        found: dict[tuple[int, int, int], bytes] = {}
        for at in range(0, len(groups), _BATCH):
            batch = groups[at : at + _BATCH]
            made = self._products(batch)
            for index, (round_, group) in enumerate(batch):
                product = made[index * GROUP : (index + 1) * GROUP]
                layers = self._subtree(product, round_, group)
                for pick in within[round_, group]:
                    found[pick] = self._opening(product, layers, *pick)
        return b"".join(found[pick] for pick in wanted)

    def _products(self, groups: list[tuple[int, int]]) -> NDArray[np.int32]:
        worked = self._worked
        rows = [
            matrix_rows(hashes.key_a(worked.states[round_ - 1], round_), worked.size, group * GROUP, GROUP)
            for round_, group in groups
        ]
        return self._engine.products(np.concatenate(rows))

    def _subtree(self, product: NDArray[np.int32], round_: int, group: int) -> list[list[bytes]]:
        """Layers of a group's subtree, leaves first, without its root."""
        layers = [row_leaves(product, round_, group * GROUP)]
        while len(layers[-1]) > 1:
            layers.append(hashes.layer_above(layers[-1]))
        if layers.pop()[0] != self._layers_above(round_)[0][group]:
            raise GpuError(
                f"round {round_} of the work comes out otherwise the second time",
                hint="the GPU or its memory makes errors: see gpunode gpus and the kernel's log",
            )
        return layers

    def _layers_above(self, round_: int) -> list[list[bytes]]:
        """Layers from the groups' nodes up, without the round's root; made once a round."""
        if round_ not in self._above:
            kept = self._worked.kept[round_ - 1].groups
            layers = [[kept[at : at + hashes.HASH_BYTES] for at in range(0, len(kept), hashes.HASH_BYTES)]]
            while len(layers[-1]) > 2:
                layers.append(hashes.layer_above(layers[-1]))
            self._above[round_] = layers
        return self._above[round_]

    def _opening(
        self, product: NDArray[np.int32], layers: list[list[bytes]], round_: int, row: int, stretch: int
    ) -> bytes:
        path = _beside(layers, (row % GROUP) * self._across + stretch)
        path += _beside(self._layers_above(round_), row // GROUP)
        entries = product[row % GROUP, stretch * hashes.STRETCH : (stretch + 1) * hashes.STRETCH]
        return entries.astype("<i4").tobytes() + b"".join(path)


def _beside(layers: list[list[bytes]], index: int) -> list[bytes]:
    """The nodes beside the way up from a node of the lowest layer."""
    path = []
    for layer in layers:
        path.append(layer[index ^ 1])
        index >>= 1
    return path
