"""A prover that hands in whatever it likes as the products of its rounds, with every hash right, and opens from memory.

So a cheat is one function from a round's matrices to what is put in place of their product; a try costs a lookup.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from node.gpu.work import hashes
from node.gpu.work.challenge import WorkChallenge
from node.gpu.work.cpu import row_leaves
from node.gpu.work.document import Stated, WorkProof
from node.gpu.work.stream import matrix, picks
from tests.gpu.work.examples import CHALLENGE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Product = Callable[[int, NDArray[np.int8], NDArray[np.int8]], NDArray[np.int32]]

SIZE = 256


def honest(round_: int, a: NDArray[np.int8], b: NDArray[np.int8]) -> NDArray[np.int32]:
    """A times B; both as they are stored. Doubles hold each sum exactly."""
    made: NDArray[np.int32] = (a.astype(np.float64) @ b.astype(np.float64).T).astype(np.int32)
    return made


@dataclass(frozen=True)
class Forgery:
    """Rounds that were made up, and can be opened anywhere."""

    challenge: WorkChallenge
    openings: int
    seed: bytes
    states: tuple[bytes, ...]
    products: tuple[NDArray[np.int32], ...]
    layers: tuple[Sequence[Sequence[bytes]], ...]
    """Of each round's tree, leaves first, root last."""
    stated: Stated

    @property
    def root(self) -> bytes:
        """What is anchored."""
        return hashes.final_root(self.states[-1], len(self.products), SIZE, self.openings, self.stated.document())

    def saying(self, milliseconds: int) -> Forgery:
        """The same work under another root."""
        return replace(self, stated=replace(self.stated, milliseconds=milliseconds))

    def opened(self, after: tuple[int, str], by: tuple[int, str] | None = None) -> WorkProof:
        """The document; `by`: the block that really picked what is opened, where that is another one."""
        root = self.root
        wanted = picks(root, *(by or after), size=SIZE, rounds=len(self.products), openings=self.openings)
        return WorkProof(
            challenge=self.challenge,
            seed=self.seed,
            size=SIZE,
            roots=tuple(layers[-1][0] for layers in self.layers),
            state=self.states[-1],
            stated=self.stated,
            root=root,
            after_slot=after[0],
            after_blockhash=after[1],
            openings=self.openings,
            opened=b"".join(self._one(*pick) for pick in wanted),
        )

    def _one(self, round_: int, row: int, stretch: int) -> bytes:
        # A size of 256 has one stretch a row.
        path, index = [], row
        for layer in self.layers[round_ - 1][:-1]:
            path.append(layer[index ^ 1])
            index >>= 1
        return self.products[round_ - 1][row].astype("<i4").tobytes() + b"".join(path)


def forge(
    product: Product,
    *,
    rounds: int = 4,
    openings: int = 64,
    challenge: WorkChallenge = CHALLENGE,
    key_b: bytes | None = None,
) -> Forgery:
    """Make rounds with this in place of the product; `key_b`: of another B than the seed's."""
    seed = hashes.seed_of(challenge)
    states = [hashes.first_state(seed, SIZE)]
    b = matrix(key_b or hashes.key_b(seed, SIZE), SIZE)
    products, trees = [], []
    for round_ in range(1, rounds + 1):
        made = product(round_, matrix(hashes.key_a(states[-1], round_), SIZE), b)
        layers: list[Sequence[bytes]] = [row_leaves(made, round_, 0)]
        while len(layers[-1]) > 1:
            layers.append(hashes.layer_above(layers[-1]))
        states.append(hashes.next_state(states[-1], round_, layers[-1][0]))
        products.append(made)
        trees.append(layers)
    return Forgery(
        challenge, openings, seed, tuple(states), tuple(products), tuple(trees), Stated("cpu", "forged", 1, None)
    )


def leaving_out(rows: int, seed: int = 0) -> Product:
    """So many rows of each round are not made; which ones is drawn anew for each round."""

    def product(round_: int, a: NDArray[np.int8], b: NDArray[np.int8]) -> NDArray[np.int32]:
        made = honest(round_, a, b)
        made[np.random.default_rng((seed, round_)).choice(SIZE, rows, replace=False)] = 7
        return made

    return product


def short_sums(share: float) -> Product:
    """The last share of each sum is left out: every entry is nearly right."""

    def product(round_: int, a: NDArray[np.int8], b: NDArray[np.int8]) -> NDArray[np.int32]:
        kept = SIZE - max(1, round(share * SIZE))
        return honest(round_, a[:, :kept], b[:, :kept])

    return product


def half_precision(round_: int, a: NDArray[np.int8], b: NDArray[np.int8]) -> NDArray[np.int32]:
    """Rounded to 11 bits at most, as cheaper units do it."""
    made: NDArray[np.int32] = (honest(round_, a, b) / 128).astype(np.float16).astype(np.int32) * 128
    return made


def repeating(first: int) -> Product:
    """So many honest rounds; from then on the last of them is handed in again."""
    kept: list[NDArray[np.int32]] = []

    def product(round_: int, a: NDArray[np.int8], b: NDArray[np.int8]) -> NDArray[np.int32]:
        if round_ <= first:
            kept[:] = [honest(round_, a, b)]
        return kept[0]

    return product
