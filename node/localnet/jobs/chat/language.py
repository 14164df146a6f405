"""pydoc-ngram: an n-gram language model whose counts lean towards what the conversation is about.

Every place in the training text counts towards the next token with the weight of the entry it lies in, and an entry
weighs the more the nearer it is to the conversation in the sentence encoder's space. Orders from one token up to
LONGEST_CONTEXT are mixed by Witten and Bell's rule: the fewer different tokens have followed a context, the more it is
trusted. Text is sampled from the mixture token by token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

BITS = 12
VOCABULARY = 1 << BITS
PACKED = 5
"""Tokens in one 60-bit key: contexts up to PACKED - 1 are found by sorting, longer ones by looking back from there."""
LONGEST_CONTEXT = 8
BEGIN, END = "<|begin|>", "<|end|>"
WARMTH = 0.05
"""How fast an entry's weight falls with its distance (1 - cosine) from the conversation."""
FLOOR = 1e-4
"""Weight of an entry that has nothing to do with the conversation: grammar is learnt from all of them."""
COLDEST = 0.01
"""Below this temperature only the likeliest token has a chance worth the name."""
LEAST = 1e-30


def train_tokenizer(texts: Sequence[str]) -> Tokenizer:
    """A byte-level BPE tokenizer with VOCABULARY tokens, made from the texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BEGIN, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


@dataclass(frozen=True)
class LanguageModel:
    """Training text and how to look contexts up in it.

    `stream` holds all tokens, `entry` the entry each belongs to, `keys` PACKED tokens from each place on in one number,
    sorted, and `places` where each of them is. `vectors` are the entries' unit vectors.
    """

    tokenizer: Tokenizer
    stream: NDArray[np.int64]
    entry: NDArray[np.int32]
    keys: NDArray[np.int64]
    places: NDArray[np.int32]
    vectors: NDArray[np.float32]

    @classmethod
    def learn(cls, tokenizer: Tokenizer, texts: Sequence[str], vectors: NDArray[np.float32]) -> LanguageModel:
        """Learn the texts, one entry each."""
        begin, end = tokenizer.token_to_id(BEGIN), tokenizer.token_to_id(END)
        encoded = [[begin, *one.ids, end] for one in tokenizer.encode_batch(list(texts))]
        stream = np.concatenate([np.asarray(tokens, dtype=np.int64) for tokens in encoded])
        entry = np.repeat(np.arange(len(encoded), dtype=np.int32), [len(tokens) for tokens in encoded])
        padded = np.concatenate([stream, np.full(PACKED, end, dtype=np.int64)])
        keys = np.zeros(len(stream), dtype=np.int64)
        for shift in range(PACKED):
            keys = keys << BITS | padded[shift : shift + len(stream)]
        places = np.argsort(keys, kind="stable").astype(np.int32)
        return cls(tokenizer, stream, entry, keys[places], places, vectors)

    @classmethod
    def load(cls, folder: Path) -> LanguageModel:
        """Read what `save` wrote."""
        with np.load(folder / "language.npz") as kept:
            parts = {name: kept[name] for name in ("stream", "entry", "keys", "places")}
            vectors = kept["vectors"].astype(np.float32)
        return cls(Tokenizer.from_file(str(folder / "tokenizer.json")), **parts, vectors=vectors)

    def save(self, folder: Path) -> None:
        """Write language.npz and tokenizer.json."""
        np.savez(folder / "language.npz", stream=self.stream, entry=self.entry, keys=self.keys, places=self.places,
                 vectors=self.vectors.astype(np.float16))  # fmt: skip
        self.tokenizer.save(str(folder / "tokenizer.json"))

    def about(self, topic: NDArray[np.float32] | None) -> Leaning:
        """The model leaning towards a topic (a unit vector), or towards nothing."""
        if topic is None:
            weights = np.ones(len(self.vectors))
        else:
            nearness = self.vectors @ topic
            weights = np.exp((nearness - nearness.max()).astype(np.float64) / WARMTH) + FLOOR
        return Leaning(self, weights[self.entry])


class Leaning:
    """The model with a weight for every place of its text."""

    def __init__(self, model: LanguageModel, weights: NDArray[np.float64]) -> None:
        self._model = model
        self._weights = weights
        self._base = self._share(np.arange(len(model.stream)), 0, np.full(VOCABULARY, 1 / VOCABULARY))

    def next_token(self, context: Sequence[int]) -> NDArray[np.float64]:
        """Probability of each token after the context, whose last LONGEST_CONTEXT tokens count."""
        found = self._base
        for length in range(1, min(len(context), PACKED - 1) + 1):
            starts = self._starts(context[-length:])
            if not len(starts):
                return found
            found = self._share(starts, length, found)
        for length in range(PACKED, min(len(context), LONGEST_CONTEXT) + 1):
            # Where the shorter context was found, and the token before it is right too.
            starts = starts[starts > 0] - 1
            starts = starts[self._model.stream[starts] == context[-length]]
            if not len(starts):
                return found
            found = self._share(starts, length, found)
        return found

    def _starts(self, context: Sequence[int]) -> NDArray[np.int32]:
        free = BITS * (PACKED - len(context))
        packed = 0
        for token in context:
            packed = packed << BITS | token
        first, last = np.searchsorted(self._model.keys, [packed << free, (packed + 1) << free])
        return self._model.places[first:last]

    def _share(self, starts: NDArray, length: int, shorter: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mix what follows a context of `length` tokens at `starts` with what the shorter context says."""
        followers = starts + length
        inside = followers < len(self._model.stream)
        starts, followers = starts[inside], followers[inside]
        counts = np.bincount(self._model.stream[followers], weights=self._weights[followers], minlength=VOCABULARY)
        total = counts.sum()
        if total <= 0:
            return shorter
        # As many different followers as there are, each as heavy as a place is here on average: the mixture is the same
        # whether a context is known from near entries or from far ones.
        different = np.count_nonzero(counts) * total / len(followers)
        return (counts + different * shorter) / (total + different)


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen: temperature near 0 takes the likeliest; `top_p` keeps the likeliest of that share."""

    temperature: float = 0.7
    top_p: float = 1.0
    seed: int | None = None


class Sampler:
    """Chooses tokens, the same ones for the same seed."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._chance = np.random.default_rng(sampling.seed)

    def choose(self, probabilities: NDArray[np.float64]) -> int:
        """One token."""
        if self._sampling.temperature < COLDEST:
            return int(np.argmax(probabilities))
        logarithms = np.log(np.maximum(probabilities, LEAST)) / self._sampling.temperature
        shares = np.exp(logarithms - logarithms.max())
        shares /= shares.sum()
        order = np.argsort(-shares, kind="stable")
        reached = np.cumsum(shares[order])
        kept = order[: int(np.searchsorted(reached, self._sampling.top_p)) + 1]
        return int(self._chance.choice(kept, p=shares[kept] / shares[kept].sum()))
