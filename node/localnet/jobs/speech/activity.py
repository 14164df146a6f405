"""Voice activity by silero-vad: its ONNX file run frame by frame, then thresholds with hysteresis."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Audio = NDArray[np.float32]

RATE = 16000
FRAME = 512
"""Samples the model looks at in one step: 32 ms."""
CONTEXT = 64
"""Samples of the step before that it wants to see again."""
SPEECH_FROM = 0.5
SPEECH_UNTIL = 0.35
SHORTEST_SPEECH_SECONDS = 0.2
SHORTEST_PAUSE_SECONDS = 0.3
PADDING_SECONDS = 0.03


@dataclass(frozen=True)
class Segment:
    """Somebody speaks from `start` to `end`, in seconds."""

    start: float
    end: float


def package_folder(name: str) -> Path:
    """Folder of an installed package (which is found, not imported)."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"the package {name} is not installed in this image")
    return Path(spec.origin).parent


class Detector:
    """The model with its recurrent state."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = package_folder("silero_vad") / "data" / "silero_vad.onnx"
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.name = f"silero-vad {importlib.metadata.version('silero-vad')}"

    def probabilities(self, audio: Audio) -> NDArray[np.float32]:
        """Probability of speech per frame of 16 kHz mono audio in -1..1; the last frame is filled up with silence."""
        frames = np.zeros((-(-len(audio) // FRAME), FRAME), dtype=np.float32)
        frames.reshape(-1)[: len(audio)] = audio
        state = np.zeros((2, 1, 128), dtype=np.float32)
        context = np.zeros((1, CONTEXT), dtype=np.float32)
        rate = np.array(RATE, dtype=np.int64)
        found = np.empty(len(frames), dtype=np.float32)
        for number, frame in enumerate(frames):
            window = np.concatenate([context, frame[None]], axis=1)
            answer, state = self._session.run(None, {"input": window, "state": state, "sr": rate})
            context = window[:, -CONTEXT:]
            found[number] = answer[0, 0]
        return found


def segments(probabilities: Sequence[float] | NDArray[np.float32], seconds: float) -> list[Segment]:
    """Stretches of speech in a recording of `seconds`.

    Speech begins at a frame of at least SPEECH_FROM and goes on until frames stay below SPEECH_UNTIL for a whole pause:
    between the two, a frame is what the one before it was.
    """
    step = FRAME / RATE
    stretches: list[list[float]] = []
    speaking = False
    for number, probability in enumerate(probabilities):
        begins, ends = number * step, (number + 1) * step
        speaking = probability >= (SPEECH_UNTIL if speaking else SPEECH_FROM)
        if not speaking:
            continue
        if stretches and begins - stretches[-1][1] < SHORTEST_PAUSE_SECONDS:
            stretches[-1][1] = ends
        else:
            stretches.append([begins, ends])
    return [
        Segment(max(0.0, start - PADDING_SECONDS), min(seconds, end + PADDING_SECONDS))
        for start, end in stretches
        if end - start >= SHORTEST_SPEECH_SECONDS
    ]
