"""The small model: the feed-forward part of a text encoder, four times, and a head with 1024 classes.

20 million weights that follow from a fixed keystream, so that every host measures the same model. They are random and
not trained: its classes lie closer together than a trained model's, so that the share of equal answers is rather too
low.

Dynamic int8: weights are quantised once, for each output apart; activations anew for each batch. Here for each of their
rows apart, symmetrically; other runtimes do so for a whole batch, with a zero point.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from node.gpu.work.stream import keystream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float = NDArray[np.float32]

NAME = "feed-forward encoder, 4 x (768, 3072), head 1024"
WIDTHS = (768, 3072) * 4 + (768, 1024)
BATCH = 128
BATCHES = 8
_KEY = b"gpunode precision ladder model 1"
_INPUT_KEY = b"gpunode precision ladder input 1"


@dataclass(frozen=True, slots=True)
class Layer:
    """One product, and what stands between it and the next."""

    weights: Float
    """(inputs, outputs)"""
    rectified: bool
    """Whether negative outputs become 0."""


@dataclass(frozen=True, slots=True)
class QuantisedLayer:
    """The same with weights of one byte."""

    weights: NDArray[np.int8]
    """(inputs, outputs)"""
    scales: Float
    """(outputs,): what one step of a weight is worth."""
    rectified: bool


def layers(widths: tuple[int, ...] = WIDTHS) -> list[Layer]:
    """The model in fp32."""
    made, at = [], 0
    last = len(widths) - 2
    for index, (inputs, outputs) in enumerate(pairwise(widths)):
        count = inputs * outputs
        values = _normal(_KEY, at, count).reshape(inputs, outputs)
        at += count
        # So scaled, each layer leaves the size of what passes through it as it is.
        rectified = index % 2 == 0 and index != last
        scale = np.sqrt((2.0 if index % 2 else 1.0) / inputs)
        made.append(Layer((values * np.float32(scale)).astype(np.float32), rectified))
    return made


def batches(width: int = WIDTHS[0], count: int = BATCHES) -> list[Float]:
    """Inputs, (BATCH, width) each."""
    size = BATCH * width
    return [_normal(_INPUT_KEY, index * size, size).reshape(BATCH, width) for index in range(count)]


def quantised(model: list[Layer]) -> list[QuantisedLayer]:
    """The model in int8."""
    made = []
    for layer in model:
        scales = np.abs(layer.weights).max(axis=0) / np.float32(127)
        weights = np.rint(layer.weights / scales).astype(np.int8)
        made.append(QuantisedLayer(weights, scales.astype(np.float32), layer.rectified))
    return made


def parameters(model: list[Layer]) -> int:
    """How many weights there are."""
    return sum(layer.weights.size for layer in model)


def size_fp32(model: list[Layer]) -> int:
    """Bytes of the weights."""
    return 4 * parameters(model)


def size_int8(model: list[Layer]) -> int:
    """Bytes of the weights and scales."""
    return sum(layer.weights.size + 4 * layer.weights.shape[1] for layer in model)


def run_fp32(model: list[Layer], batch: Float) -> Float:
    """What the model answers, by NumPy."""
    for layer in model:
        batch = batch @ layer.weights
        if layer.rectified:
            batch = np.maximum(batch, 0)
    return batch


def run_int8(model: list[QuantisedLayer], batch: Float) -> Float:
    """What the quantised model answers, exactly as a GPU is to compute it; slow, for comparison only."""
    for layer in model:
        steps = np.maximum(np.abs(batch).max(axis=1, keepdims=True) / np.float32(127), np.float32(1e-30))
        whole = np.rint(batch / steps).astype(np.int64)
        batch = (whole @ layer.weights.astype(np.int64)).astype(np.float32) * steps * layer.scales
        if layer.rectified:
            batch = np.maximum(batch, 0)
    return batch


def agreement(first: list[Float], second: list[Float]) -> tuple[int, int]:
    """Equal answers in thousandths, and the mean cosine in millionths."""
    one, two = np.concatenate(first), np.concatenate(second)
    same = float((one.argmax(axis=1) == two.argmax(axis=1)).mean())
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    cosine = float(((one * two).sum(axis=1) / np.maximum(lengths, 1e-30)).mean())
    return round(1000 * same), round(1_000_000 * cosine)


def _normal(key: bytes, first: int, count: int) -> Float:
    """Values of about a normal distribution with deviation 1: sums of four bytes each, from the `first` value on."""
    begin, end = 4 * first // 64, -(-4 * (first + count) // 64)
    raw = np.frombuffer(keystream(key, begin, 64 * (end - begin)), dtype=np.int8)
    skipped = 4 * first - 64 * begin
    quads = raw[skipped : skipped + 4 * count].reshape(-1, 4).astype(np.int16)
    values: Float = (quads.sum(axis=1) + 2).astype(np.float32) / np.float32(147.8)
    return values
