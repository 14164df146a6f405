"""Settings by which known weaknesses are accepted."""

from __future__ import annotations

from pydantic import Field, field_validator

from node.settings_section import Section


class SecuritySettings(Section):
    """Relaxations that are named one by one; `gpunode doctor` shows each."""

    accept: tuple[str, ...] = Field(default=())
    """Known escapes that this host takes jobs with all the same: CVE numbers, or NVIDIA's bulletins (NVIDIA-5821)."""

    @field_validator("accept")
    @classmethod
    def _names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        upper = tuple(name.strip().upper() for name in names)
        for name in upper:
            if not name.startswith(("CVE-", "NVIDIA-")):
                raise ValueError("must be CVE numbers (CVE-2025-23266) or NVIDIA bulletins (NVIDIA-5821)")
        return upper
