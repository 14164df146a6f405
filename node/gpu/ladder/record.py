"""What was measured, as records and as one canonical document (sorted keys, no blanks, ASCII, whole numbers only).

    _type       urn:gpunode:ladder:1
    device      kind (cpu, cuda), name, gpu (UUID or null), detail
    measuredMs  unix milliseconds
    agent       gpunode/<version>
    products    a list: precision, by (who multiplied), size, operationsPerSecond (null: not measured), why (then)
    bandwidth   bytesPerSecond (read and written, null: not measured), how
    model       name, parameters, batch, by, variants (precision, bytes, latencyMicroseconds), agreement (top1Permille,
                cosinePpm), or null with `why`

Products and bandwidth are the best of some tries, latencies the median. An operation is a multiplication or an
addition. The document's digest is its SHA-256; it is what a receipt can name.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from node.bounded_json import JsonRefused, read_json
from node.errors import GpuError
from node.records_proofs import KeptLadder

DOCUMENT_TYPE = "urn:gpunode:ladder:1"
PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "fp8", "int8")


@dataclass(frozen=True, slots=True)
class Device:
    """What was measured on."""

    kind: str
    name: str
    gpu: str | None
    detail: str
    """What matters of it: threads and instructions of a CPU, compute capability of a GPU."""


@dataclass(frozen=True, slots=True)
class Product:
    """Products of large square matrices in one precision."""

    precision: str
    by: str
    """Which code multiplied; empty where none did."""
    size: int
    operations_per_second: int | None
    why: str = ""
    """Why there is no figure."""

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "precision": self.precision,
            "by": self.by,
            "size": self.size,
            "operationsPerSecond": self.operations_per_second,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Of the device's memory, while a large block is copied."""

    bytes_per_second: int | None
    how: str


@dataclass(frozen=True, slots=True)
class Variant:
    """The model in one precision."""

    precision: str
    size: int
    """Bytes of its weights, scales included."""
    latency_us: int
    """Microseconds for one batch, the median."""


@dataclass(frozen=True, slots=True)
class ModelRun:
    """One small model, twice."""

    name: str
    parameters: int
    batch: int
    by: str
    fp32: Variant
    int8: Variant
    top1_permille: int
    """Of the answers, for how many both name the same class."""
    cosine_ppm: int
    """Mean cosine between both outputs, in millionths."""

    @property
    def speedup(self) -> float:
        """How many times as fast int8 is."""
        return self.fp32.latency_us / max(self.int8.latency_us, 1)

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "name": self.name,
            "parameters": self.parameters,
            "batch": self.batch,
            "by": self.by,
            "variants": [
                {"precision": each.precision, "bytes": each.size, "latencyMicroseconds": each.latency_us}
                for each in (self.fp32, self.int8)
            ],
            "agreement": {"top1Permille": self.top1_permille, "cosinePpm": self.cosine_ppm},
        }


@dataclass(frozen=True, slots=True)
class Ladder:
    """All of it, for one device at one time."""

    device: Device
    measured_ms: int
    agent: str
    products: tuple[Product, ...]
    bandwidth: Bandwidth
    model: ModelRun | None
    model_why: str = ""
    """Why there is no model run."""

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "_type": DOCUMENT_TYPE,
            "device": {
                "kind": self.device.kind,
                "name": self.device.name,
                "gpu": self.device.gpu,
                "detail": self.device.detail,
            },
            "measuredMs": self.measured_ms,
            "agent": self.agent,
            "products": [each.document() for each in self.products],
            "bandwidth": {"bytesPerSecond": self.bandwidth.bytes_per_second, "how": self.bandwidth.how},
            "model": {"why": self.model_why} if self.model is None else self.model.document(),
        }

    def body(self) -> bytes:
        """The canonical document."""
        return json.dumps(self.document(), ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode()

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical document, hex."""
        return hashlib.sha256(self.body()).hexdigest()


MOST_BYTES = 12_000
"""Of a document that is kept; one has some 2,500."""


def kept_ladder(body: bytes) -> KeptLadder:
    """The document as the journal keeps it. Raises GpuError where it is none, or not in its canonical form."""
    try:
        document = read_json(body, limit=MOST_BYTES, depth=8)
        canonical = json.dumps(document, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode()
        device, measured = document["device"], document["measuredMs"]
        gpu = device["gpu"] if device["kind"] == "cuda" else "cpu"
        named = isinstance(gpu, str) and all(each["precision"] in PRECISIONS for each in document["products"])
        if canonical != body or document["_type"] != DOCUMENT_TYPE or not named or type(measured) is not int:
            raise ValueError("another form")
    except (JsonRefused, ValueError, LookupError, TypeError):
        raise GpuError("this is no precision ladder", hint="gpunode bench gpu measures one") from None
    return KeptLadder(hashlib.sha256(body).hexdigest(), body, gpu, measured)


def not_measured(precision: str, why: str) -> Product:
    """A precision without a figure."""
    return Product(precision, "", 0, None, why)
