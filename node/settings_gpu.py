"""Settings of the GPUs: which are offered, what jobs are given of them, and what they must be left like."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from node.settings_section import Section, Size, parse_size

Capability = Literal["compute", "utility", "video", "graphics", "compat32", "ngx"]


class GpuSettings(Section):
    """Which GPUs this host offers, and how."""

    provider: Literal["auto", "nvidia", "simulated"] = "auto"
    """`simulated` is refused on every cluster but a localnet."""
    capabilities: tuple[Capability, ...] = Field(default=("compute", "utility", "video"), min_length=1)
    """Parts of the driver that a job with a GPU sees, whatever its image or definition asks for. `graphics` opens one
    more device (nvidia-modeset); `display` is never given."""
    vram_slack: Size = "256 MiB"
    """GPU memory that may be in use after a job beyond what was in use before it."""
    settle: float = Field(default=30.0, ge=0)
    """Seconds after a job in which processes and memory may still go away, before the lane is degraded."""

    @field_validator("vram_slack")
    @classmethod
    def _size(cls, value: Size) -> int:
        return parse_size(value)

    @property
    def vram_slack_bytes(self) -> int:
        """`vram_slack`, in bytes."""
        return parse_size(self.vram_slack)
