"""The speech job: who speaks when in a recorded conversation, what they say, and how right that is."""

from __future__ import annotations

import json
import sys
import time
import wave
from pathlib import Path

import numpy as np
from activity import RATE, Audio, Detector, Segment, segments
from scores import compare, joined
from transcript import Recogniser, plain_words, wrong_words

HERE = Path(__file__).resolve().parent


def say(line: str) -> None:
    """Print at once: whoever follows the log sees each stretch when it is understood."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def cpu_name() -> str:
    """The processor's name as the kernel tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unnamed")


def read_recording() -> Audio:
    """The recording's samples in -1..1."""
    with wave.open(str(HERE / "recording.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return samples.astype(np.float32) / 32768


def main() -> None:
    """Run the job."""
    audio = read_recording()
    sentences = json.loads((HERE / "recording.json").read_text())
    seconds = len(audio) / RATE
    detector, recogniser = Detector(), Recogniser()
    say(f"model: {detector.name} and {recogniser.name}")
    say(f"device: CPU ({cpu_name()}, one thread); this image holds no GPU code")
    say(f"recording: {seconds:.2f} s of a telephone conversation, pauses put in")

    began = time.perf_counter()
    found = segments(detector.probabilities(audio), seconds)
    detecting = time.perf_counter() - began

    began = time.perf_counter()
    heard: list[str] = []
    for segment in found:
        words = recogniser.words(audio, segment)
        heard += plain_words(words)
        say(f"speech {segment.start:6.2f} - {segment.end:6.2f} s: {words}")
    transcribing = time.perf_counter() - began

    truth = joined([Segment(sentence["start"], sentence["end"]) for sentence in sentences])
    precision, recall, both = compare(found, truth, seconds)
    say(f"found: {len(found)} stretches of speech, {sum(s.end - s.start for s in found):.2f} s")
    say(f"activity: precision {precision:.3f}, recall {recall:.3f}, F1 {both:.3f}")
    said = [word for sentence in sentences for word in plain_words(sentence["text"])]
    wrong = wrong_words(said, heard)
    say(f"words: error rate {wrong / len(said):.3f} ({wrong} of {len(said)} said)")
    say(f"speed: voice activity {seconds / detecting:.1f}, transcription {seconds / transcribing:.1f} times real time")
    say(f"segments: {json.dumps([[round(s.start, 2), round(s.end, 2)] for s in found])}")


if __name__ == "__main__":
    main()
