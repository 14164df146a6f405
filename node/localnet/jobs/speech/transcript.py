"""Transcription by PocketSphinx: its own acoustic model, language model and dictionary for US English."""

from __future__ import annotations

import importlib.metadata

import numpy as np
from activity import RATE, Audio, Segment
from pocketsphinx import Decoder


class Recogniser:
    """PocketSphinx with the models of its package."""

    def __init__(self) -> None:
        self._decoder = Decoder(samprate=RATE, loglevel="FATAL")
        self.name = f"PocketSphinx {importlib.metadata.version('pocketsphinx')} (en-us)"

    def words(self, audio: Audio, segment: Segment) -> str:
        """What is said in the segment, in small letters; empty where nothing was understood."""
        part = audio[round(segment.start * RATE) : round(segment.end * RATE)]
        self._decoder.start_utt()
        self._decoder.process_raw((part * 32767).astype("<i2").tobytes(), full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return "" if found is None else str(found.hypstr)


def plain_words(text: str) -> list[str]:
    """Words in small letters without punctuation (apostrophes stay)."""
    return "".join(c if c.isalnum() or c in "' " else " " for c in text.lower()).split()


def wrong_words(said: list[str], heard: list[str]) -> int:
    """Fewest words to replace, leave out or put in to make one of the other (Levenshtein distance of words)."""
    row = np.arange(len(heard) + 1)
    for number, word in enumerate(said, start=1):
        above, row = row, np.empty_like(row)
        row[0] = number
        for place, other in enumerate(heard, start=1):
            row[place] = min(above[place] + 1, row[place - 1] + 1, above[place - 1] + (word != other))
    return int(row[-1])
