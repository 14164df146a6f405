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

    temperature_most: int | None = Field(default=None, ge=30, le=120)
    """Degrees Celsius from which on a lane leaves the queue until its GPU is 10 degrees cooler; null: 5 degrees below
    those at which the GPU slows itself down, or 90 where it does not tell."""
    throttle_minutes: float = Field(default=10.0, ge=0, le=1440)
    """A lane leaves the queue when its GPU was slowed down by heat or a power brake for half of this time, until it has
    hardly been; 0: never. A power limit that was set on purpose is no such thing."""
    foreign_vram: Size = "2 GiB"
    """GPU memory that others than jobs may hold before the lane leaves the queue."""
    pause_for: tuple[str, ...] = Field(default=(), max_length=64)
    """Names of programs (with * and ?; case does not matter). While one of them uses a lane's GPU the lane takes no
    jobs: for owners who also play or work on it."""
    pause_ends_jobs: bool = False
    """Whether the job at hand is given back, unpaid, when such a program starts; else it is done first."""
    simulated: int = Field(default=1, ge=1, le=64)
    """How many simulated GPUs a localnet gets."""

    @field_validator("pause_for")
    @classmethod
    def _patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not each.strip(" *?") for each in value):
            raise ValueError("a pattern must name a program; * alone would mean every one")
        return value

    @field_validator("vram_slack", "foreign_vram")
    @classmethod
    def _size(cls, value: Size) -> int:
        return parse_size(value)

    @property
    def vram_slack_bytes(self) -> int:
        """`vram_slack`, in bytes."""
        return parse_size(self.vram_slack)

    @property
    def foreign_vram_bytes(self) -> int:
        """`foreign_vram`, in bytes."""
        return parse_size(self.foreign_vram)
