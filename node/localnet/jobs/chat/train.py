"""Train the language model while the image is built, on the documentation in this image's standard library."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from corpus import Entry, entries
from encoder import Encoder
from language import BEGIN, END, LONGEST_CONTEXT, LanguageModel, train_tokenizer

HERE = Path(__file__).resolve().parent
HELD_OUT_EVERY = 40
SUBJECT_CHARACTERS = 120


def training_text(entry: Entry) -> str:
    """What the model learns to say of an entry."""
    return f"{entry.name}: {entry.text}"


def perplexity(model: LanguageModel, held_out: Sequence[str], topics: np.ndarray | None) -> float:
    """Of texts that the model has not seen, per token; `topics` are their vectors, if it may lean towards them."""
    begin, end = model.tokenizer.token_to_id(BEGIN), model.tokenizer.token_to_id(END)
    surprise, tokens = 0.0, 0
    for number, text in enumerate(held_out):
        leaning = model.about(None if topics is None else topics[number])
        context = [begin]
        for token in [*model.tokenizer.encode(text).ids, end]:
            surprise -= float(np.log(leaning.next_token(context)[token]))
            tokens += 1
            context = [*context, token][-LONGEST_CONTEXT:]
    return float(np.exp(surprise / tokens))


def main() -> None:
    """Learn, say how well, and save the model."""
    began = time.perf_counter()
    read = entries()
    texts = [training_text(entry) for entry in read]
    encoder = Encoder.load()
    vectors = encoder.embed([entry.subject[:SUBJECT_CHARACTERS] for entry in read])
    sys.stdout.write(f"{len(read)} entries embedded in {time.perf_counter() - began:.0f} s\n")
    tokenizer = train_tokenizer(texts)
    held = np.arange(len(texts)) % HELD_OUT_EVERY == 0
    kept = [text for text, out in zip(texts, held, strict=True) if not out]
    unseen = [text for text, out in zip(texts, held, strict=True) if out]
    trial = LanguageModel.learn(tokenizer, kept, vectors[~held])
    plain, leaning = perplexity(trial, unseen, None), perplexity(trial, unseen, vectors[held])
    model = LanguageModel.learn(tokenizer, texts, vectors)
    model.save(HERE)
    facts = {
        "entries": len(texts),
        "tokens": len(model.stream),
        "vocabulary": tokenizer.get_vocab_size(),
        "held_out_perplexity": round(plain, 1),
        "held_out_perplexity_leaning": round(leaning, 1),
    }
    (HERE / "model.json").write_text(json.dumps({**facts, "created": int(time.time())}))
    sys.stdout.write(f"{json.dumps(facts)}, {time.perf_counter() - began:.0f} s in all\n")


if __name__ == "__main__":
    main()
