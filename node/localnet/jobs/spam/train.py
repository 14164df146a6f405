"""Train the spam classifier while the image is built, from the labelled messages beside this file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from classifier import Classifier, Message
from encoder import Encoder

HERE = Path(__file__).resolve().parent
FOLDS = 5


def cross_validated_accuracy(vectors: np.ndarray, labels: np.ndarray) -> float:
    """Share of right verdicts when each fold is judged by a classifier trained on the others."""
    folds = np.arange(len(labels)) % FOLDS
    right = 0
    for fold in range(FOLDS):
        held = folds == fold
        trained = Classifier.fit(vectors[~held], labels[~held].tolist())
        right += int(((trained.score(vectors[held]) > 0.5) == labels[held]).sum())
    return right / len(labels)


def main() -> None:
    """Embed the training messages, say the cross-validated accuracy, train on all of them and save the classifier."""
    document = json.loads((HERE / "messages.json").read_text())
    messages = [Message(**entry) for entry in document["training"]]
    labels = np.array([message.label == "spam" for message in messages])
    vectors = Encoder.load().embed([message.text for message in messages])
    accuracy = cross_validated_accuracy(vectors, labels)
    sys.stdout.write(f"trained on {len(messages)} messages, cross-validated accuracy {accuracy:.3f}\n")
    Classifier.fit(vectors, labels.tolist()).save(HERE / "classifier.npz")


if __name__ == "__main__":
    main()
