"""The frozen records of GPUs at this moment, as screens show them. None: not available."""

from __future__ import annotations

from dataclasses import dataclass

from node.records import Address


@dataclass(frozen=True, slots=True)
class GpuProgram:
    """A process that uses a GPU now."""

    pid: int
    name: str
    memory_bytes: int | None
    owner: str
    """`job`, `agent`, `other`, or `gone`: it cannot be told from here."""
    job: Address | None = None


@dataclass(frozen=True, slots=True)
class GpuNow:
    """One GPU at this moment."""

    uuid: str
    time_ms: int | None = None
    """Unix milliseconds of its sample; None: it could not be read lately."""
    utilisation: int | None = None
    """Percent."""
    memory_bytes: int | None = None
    """In use."""
    temperature: int | None = None
    """Degrees Celsius."""
    power_watts: float | None = None
    clock_mhz: int | None = None
    slowed_by: tuple[str, ...] | None = None
    """Names of reasons, as in a job's telemetry; empty: none."""
    pcie_width: int | None = None
    pcie_generation: int | None = None
    """Both fall while it idles."""
    ecc_corrected: int | None = None
    ecc_uncorrected: int | None = None
    """Memory errors since the driver was loaded."""
    processes: tuple[GpuProgram, ...] | None = None
    energy_today_joules: float | None = None
    energy_today_since_ms: int | None = None
    """Midnight, or when it was first looked at today."""
