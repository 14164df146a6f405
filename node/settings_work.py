"""Settings of the GPU work proof: how often, how long, and how much energy it may cost."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from node.settings_section import Section


class WorkProofSettings(Section):
    """The proof of GPU work that is made while a lane is queued and idle."""

    engine: Literal["auto", "cuda", "cpu", "off"] = "auto"
    """`auto`: on the lane's GPU where there is an NVIDIA one and the extra `gpunode[cuda]` is installed, on the CPU on
    a localnet, else none."""
    interval: float = Field(default=6.0, gt=0)
    """Hours from one proof to the next."""
    seconds: float = Field(default=15.0, ge=1, le=600)
    """For how long products are made; below 10 s the chain's times give no rate."""
    daily_energy: float = Field(default=40.0, ge=0)
    """Kilojoules that all proofs of 24 h may cost on this host (40 kJ are 11 Wh); 0: none are made."""
    size: int | None = Field(default=None, ge=256, le=32_768)
    """Rows of the matrices, a power of two; None: what suits the engine (8192 on a GPU, 1024 on a CPU)."""

    @field_validator("engine", mode="before")
    @classmethod
    def _word(cls, value: object) -> object:
        return "off" if value is False else value  # YAML reads a bare `off` as false

    @field_validator("size")
    @classmethod
    def _power_of_two(cls, value: int | None) -> int | None:
        if value is not None and value & (value - 1):
            raise ValueError("must be a power of two")
        return value
