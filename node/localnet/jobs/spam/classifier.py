"""A logistic regression over sentence embeddings: the part of the model that knows what spam is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

REGULARISATION = 1e-3
NEWTON_STEPS = 25


@dataclass(frozen=True)
class Message:
    """One labelled message; `label` is "spam" or "ham"."""

    label: str
    subject: str
    body: str

    @property
    def text(self) -> str:
        """What the model reads."""
        return f"{self.subject}. {self.body}"


@dataclass(frozen=True)
class Classifier:
    """Weights per embedding dimension and a bias; scores are probabilities of spam."""

    weights: NDArray[np.float64]
    bias: float

    @classmethod
    def fit(cls, vectors: NDArray[np.float32], labels: Sequence[bool]) -> Classifier:
        """Newton's method on the regularised log loss (the bias is not regularised)."""
        inputs = np.hstack([vectors.astype(np.float64), np.ones((len(vectors), 1))])
        targets = np.asarray(labels, dtype=np.float64)
        penalty = np.full(inputs.shape[1], REGULARISATION * len(inputs))
        penalty[-1] = 1e-9
        solution = np.zeros(inputs.shape[1])
        for _ in range(NEWTON_STEPS):
            probability = 1.0 / (1.0 + np.exp(-inputs @ solution))
            gradient = inputs.T @ (probability - targets) + penalty * solution
            curvature = (inputs * (probability * (1.0 - probability))[:, None]).T @ inputs + np.diag(penalty)
            step = np.linalg.solve(curvature, gradient)
            solution = solution - step
            if float(np.abs(step).max()) < 1e-9:
                break
        return cls(weights=solution[:-1], bias=float(solution[-1]))

    @classmethod
    def load(cls, path: Path) -> Classifier:
        """Read what `save` wrote."""
        with np.load(path) as stored:
            return cls(weights=stored["weights"], bias=float(stored["bias"]))

    def save(self, path: Path) -> None:
        """Write the weights as an .npz file."""
        np.savez(path, weights=self.weights, bias=np.float64(self.bias))

    def score(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probability of spam per vector, shape (vectors,)."""
        return np.asarray(1.0 / (1.0 + np.exp(-(vectors @ self.weights + self.bias))))
