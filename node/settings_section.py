"""What all groups of settings are made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from solders.pubkey import Pubkey

GIB = 1024**3

Size = str | int
_UNITS = {
    "": 1,
    "b": 1,
    "kib": 1024,
    "mib": 1024**2,
    "gib": GIB,
    "tib": 1024**4,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
}


def parse_address(value: str) -> str:
    """A Solana address as it is; raises ValueError for anything else."""
    try:
        Pubkey.from_string(value)
    except ValueError:
        raise ValueError("must be a Solana address (base58, 32 bytes)") from None
    return value


def parse_size(value: Size) -> int:
    """Bytes of a number or of a text such as `512 MiB` or `8GiB`; raises ValueError."""
    wrong = "must be a number of bytes or a size such as 512 MiB or 8 GiB"
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        text = str(value).strip().lower()
        digits = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
        unit = text[len(digits) :].strip()
        if unit not in _UNITS:
            raise ValueError(wrong)
        try:
            size = int(float(digits) * _UNITS[unit])
        except (ValueError, OverflowError):
            raise ValueError(wrong) from None
    if not 0 <= size < 1 << 63:
        # The engine takes a negative one for "no limit".
        raise ValueError(wrong)
    return size


class Section(BaseModel):
    """A closed group of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
