"""How near the detected speech is to what people noted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from activity import SHORTEST_PAUSE_SECONDS, Segment

TICKS_A_SECOND = 100


def joined(sentences: Sequence[Segment]) -> list[Segment]:
    """Sentences with no pause worth the name between them as one stretch, as the detector counts."""
    stretches: list[Segment] = []
    for sentence in sorted(sentences, key=lambda each: each.start):
        if stretches and sentence.start - stretches[-1].end < SHORTEST_PAUSE_SECONDS:
            stretches[-1] = Segment(stretches[-1].start, max(stretches[-1].end, sentence.end))
        else:
            stretches.append(sentence)
    return stretches


def compare(found: Sequence[Segment], truth: Sequence[Segment], seconds: float) -> tuple[float, float, float]:
    """Precision, recall and F1 over hundredths of a second."""
    detected, spoken = _ticks(found, seconds), _ticks(truth, seconds)
    both = int((detected & spoken).sum())
    precision, recall = both / max(1, int(detected.sum())), both / max(1, int(spoken.sum()))
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


def _ticks(stretches: Sequence[Segment], seconds: float) -> np.ndarray:
    ticks = np.zeros(round(seconds * TICKS_A_SECOND), dtype=bool)
    for stretch in stretches:
        ticks[round(stretch.start * TICKS_A_SECOND) : round(stretch.end * TICKS_A_SECOND)] = True
    return ticks
