"""Amounts and times as people write and read them: SOL, NOS, seconds, bytes."""

from __future__ import annotations

import datetime
from decimal import Decimal, InvalidOperation

from node.errors import UsageError

LAMPORTS = 1_000_000_000
"""Lamports in one SOL."""
MICRO = 1_000_000
"""Micro-NOS in one NOS."""
DAY = 86_400
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": DAY}
_U64 = 2**64


def parse_sol(text: str) -> int:
    """Lamports of a number of SOL. Raises UsageError."""
    return _units(text, "SOL", LAMPORTS)


def parse_nos(text: str) -> int:
    """Micro-NOS of a number of NOS. Raises UsageError."""
    return _units(text, "NOS", MICRO)


def parse_duration(text: str) -> int:
    """Seconds of `90`, `90s`, `15m`, `2h` or `14d`. Raises UsageError."""
    body = text.strip().lower()
    unit = _SECONDS.get(body[-1:], 1)
    digits = body[:-1] if body[-1:] in _SECONDS else body
    try:
        seconds = Decimal(digits) * unit
    except InvalidOperation:
        raise UsageError(f"{text!r} is not a length of time", hint="write 90s, 15m, 2h or 14d") from None
    if not seconds.is_finite() or seconds < 1 or seconds > 100 * 365 * DAY:
        raise UsageError(f"{text!r} is not a length of time here", hint="at least a second: 90s, 15m, 2h, 14d")
    return int(seconds)


def sol(lamports: int) -> str:
    """`1.5 SOL`."""
    return f"{_plain(lamports, LAMPORTS)} SOL"


def nos(micro: int) -> str:
    """`1.5 NOS`."""
    return f"{_plain(micro, MICRO)} NOS"


def duration(seconds: float | None) -> str | None:
    """`2 h 5 min`, `14 d`, `3.2 s`; None stays None."""
    if seconds is None:
        return None
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = int(seconds)
    parts = [(whole // DAY, "d"), (whole % DAY // 3600, "h"), (whole % 3600 // 60, "min"), (whole % 60, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count)


def size(count: int | None) -> str | None:
    """`1.5 GiB`; None stays None."""
    if count is None:
        return None
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.4g} {unit}"
        value /= 1024
    return f"{value:.4g} TiB"


def moment(seconds: float | None) -> str | None:
    """Local date and time of unix seconds; None and 0 (not yet) become None."""
    if not seconds:
        return None
    try:
        return datetime.datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return str(seconds)


def _units(text: str, unit: str, scale: int) -> int:
    try:
        exact = Decimal(text.strip()) * scale
    except InvalidOperation:
        raise UsageError(f"{text!r} is not an amount of {unit}", hint=f"write a number of {unit} such as 1.5") from None
    if not exact.is_finite() or exact < 0 or exact >= _U64:
        raise UsageError(f"{text!r} is not an amount of {unit}", hint="it must not be negative or absurdly large")
    if exact != exact.to_integral_value():
        raise UsageError(f"{text} {unit} has too many decimals", hint=f"the smallest part is {Decimal(1) / scale:f}")
    return int(exact)


def _plain(count: int, scale: int) -> str:
    sign = "-" if count < 0 else ""
    whole, part = divmod(abs(count), scale)
    digits = str(part).rjust(len(str(scale)) - 1, "0").rstrip("0")
    return f"{sign}{whole:,}" + (f".{digits}" if digits else "")
