"""Numbers of few bits: how a matrix of each kind is made and read back, and what has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of number on tensor cores."""

    precision: str
    kind: int
    """GPUNODE_KIND of the kernels."""
    width: int
    """Bytes of one."""
    since: tuple[int, int]
    """Compute capability."""


FORMATS = (
    Format("tf32", 4, 4, (8, 0)),
    Format("fp16", 2, 2, (7, 5)),
    Format("bf16", 3, 2, (8, 0)),
    Format("fp8", 1, 1, (8, 9)),
    Format("int8", 0, 1, (7, 5)),
)


def encoded(format_: Format, raw: NDArray[np.int8]) -> NDArray[Any]:
    """Random bytes as numbers of this kind, of a size of about 1 (int8: as they are)."""
    if format_.precision == "int8":
        return raw
    if format_.precision == "fp8":
        # Without the exponent's highest bit: below 2, and never "not a number".
        return (raw.view(np.uint8) & 0xBF).astype(np.uint8)
    values = raw.astype(np.float32) / np.float32(128)
    if format_.precision == "fp16":
        return values.astype(np.float16)
    if format_.precision == "bf16":
        # Seven bits and a sign: nothing is lost in the half that is cut off.
        return (values.view(np.uint32) >> 16).astype(np.uint16)
    return values


def decoded(format_: Format, numbers: NDArray[Any]) -> NDArray[np.float64]:
    """What such numbers are worth."""
    if format_.precision == "bf16":
        return (numbers.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    if format_.precision == "fp8":
        bits = numbers.astype(np.int64)
        sign, exponent, fraction = bits >> 7, bits >> 3 & 15, (bits & 7) / 8
        size = np.where(exponent == 0, fraction * 2.0**-6, (1 + fraction) * 2.0 ** (exponent - 7))
        return np.where(sign == 1, -size, size)
    return numbers.astype(np.float64)
