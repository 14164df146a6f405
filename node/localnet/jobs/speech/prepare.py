"""Make the recording while the image is built: a real conversation, with pauses put in where nobody speaks.

The conversation and what people say in it, with times, come from the package pyannote-audio. It hardly has a pause, and
finding speech where there is nothing else is no task: so it is cut between sentences, and two seconds of its own room
noise (of its beginning, before anybody speaks) are put into each cut. The times are moved with it.
"""

from __future__ import annotations

import json
import sys
import wave
from pathlib import Path

import numpy as np
from activity import RATE, package_folder

HERE = Path(__file__).resolve().parent
CUTS_SECONDS = (8.295, 14.314, 21.705, 24.018)
"""Between sentences, by the times in the package."""
PAUSE_SECONDS = 2.0
NOISE_FROM_SECONDS = 1.0


def read_wave(path: Path) -> np.ndarray:
    """Samples of a 16 kHz mono file with 16 bits a sample."""
    with wave.open(str(path)) as file:
        form = (file.getframerate(), file.getnchannels(), file.getsampwidth())
        if form != (RATE, 1, 2):
            raise SystemExit(f"{path} is not 16 kHz mono with 16 bits: {form}")
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")


def read_sentences(path: Path) -> list[dict[str, object]]:
    """Sentences of an STM file: recording, channel, speaker, start and end in seconds, words."""
    sentences = []
    for line in path.read_text().splitlines():
        _, _, speaker, start, end, text = line.split(maxsplit=5)
        sentences.append({"speaker": speaker, "start": float(start), "end": float(end), "text": text})
    return sentences


def with_pauses(samples: np.ndarray) -> np.ndarray:
    """The samples with room noise put into the cuts."""
    first = round(NOISE_FROM_SECONDS * RATE)
    noise = samples[first : first + round(PAUSE_SECONDS * RATE)]
    parts = np.split(samples, [round(cut * RATE) for cut in CUTS_SECONDS])
    return np.concatenate([part for piece in parts for part in (piece, noise)][:-1])


def moved(seconds: float) -> float:
    """Where a time of the conversation is in the recording."""
    return round(seconds + PAUSE_SECONDS * sum(cut < seconds for cut in CUTS_SECONDS), 3)


def main() -> None:
    """Write recording.wav and recording.json beside this file."""
    folder = package_folder("pyannote.audio") / "sample"
    samples = with_pauses(read_wave(folder / "sample.wav"))
    with wave.open(str(HERE / "recording.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    sentences = [
        {**sentence, "start": moved(sentence["start"]), "end": moved(sentence["end"])}
        for sentence in read_sentences(folder / "sample.stm")
    ]
    (HERE / "recording.json").write_text(json.dumps(sentences, indent=1))
    sys.stdout.write(f"recording of {len(samples) / RATE:.1f} s, {len(sentences)} sentences\n")


if __name__ == "__main__":
    main()
