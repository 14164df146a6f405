"""The demo job: tell spam from mail in a built-in mailbox, then measure how many messages a second that is."""

from __future__ import annotations

import json
import platform
import sys
import time
from pathlib import Path

from classifier import Classifier, Message
from encoder import MODEL_NAME, Encoder

HERE = Path(__file__).resolve().parent
WINDOW_SECONDS = 2.0
THRESHOLD = 0.5


def cpu_name() -> str:
    """The processor's name as the kernel tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def say(line: str) -> None:
    """Print at once: whoever follows the log sees each verdict when it is made."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def judge(encoder: Encoder, classifier: Classifier, message: Message) -> float:
    """Probability that the message is spam."""
    return float(classifier.score(encoder.embed([message.text]))[0])


def measure(encoder: Encoder, classifier: Classifier, messages: list[Message]) -> tuple[int, float]:
    """Judge the mailbox again and again for at least the window; messages judged and seconds taken."""
    judged = 0
    began = time.perf_counter()
    while (elapsed := time.perf_counter() - began) < WINDOW_SECONDS:
        judge(encoder, classifier, messages[judged % len(messages)])
        judged += 1
    return judged, elapsed


def main() -> None:
    """Run the job."""
    began = time.perf_counter()
    document = json.loads((HERE / "messages.json").read_text())
    messages = [Message(**entry) for entry in document["mailbox"]]
    encoder = Encoder.load()
    classifier = Classifier.load(HERE / "classifier.npz")
    say(f"model: {MODEL_NAME} with a logistic classifier, loaded in {time.perf_counter() - began:.2f} s")
    say(f"device: CPU ({cpu_name()}, one thread); this image holds no GPU code")
    say(f"mailbox: {len(messages)} messages the classifier was not trained on")

    right = spam = 0
    for message in messages:
        score = judge(encoder, classifier, message)
        verdict = "spam" if score > THRESHOLD else "ham"
        spam += verdict == "spam"
        right += verdict == message.label
        note = "" if verdict == message.label else f"  (wrong: it is {message.label})"
        say(f"{verdict:<4} {score:.2f} {message.subject}{note}")

    say(f"found: {spam} spam, {len(messages) - spam} ham")
    say(f"accuracy: {right / len(messages):.3f} ({right} of {len(messages)} right)")
    judged, seconds = measure(encoder, classifier, messages)
    say(f"throughput: {judged / seconds:.1f} messages/s ({judged} messages in {seconds:.2f} s)")


if __name__ == "__main__":
    main()
