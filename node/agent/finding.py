"""One row of what `gpunode doctor` has found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One row: what was looked at, whether it is right (None: could not be seen), what was seen, what to do."""

    name: str
    ok: bool | None
    seen: str
    fix: str = ""
