"""NVIDIA GPUs through the driver's management library, in a helper process."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from node.errors import GpuError
from node.gpu.helper import Helper
from node.gpu.meter import NewHasher, SamplingMeter, metering
from node.gpu.samples import Sample, number, parse_reading
from node.gpu.state import GpuState, parse_row
from node.records import Gpu
from node.retry import Clock, SystemClock

_SCRIPT = Path(__file__).with_name("nvml.py")


class NvidiaProvider:
    """The GPUs that NVML knows. Every call may raise GpuError; one that hangs costs `deadline` seconds, once."""

    name = "nvidia"

    def __init__(
        self,
        *,
        new_hasher: NewHasher | None = None,
        library: str = "pynvml",
        deadline: float = 5.0,
        start_deadline: float = 30.0,
        clock: Clock | None = None,
    ) -> None:
        """`new_hasher`: makes what hashes the samples of one meter (without it readings have no root); `library`: the
        NVML binding, a module's name or a Python file that stands in for it; deadlines in seconds, see `Helper`."""
        # -P: the script's own folder must not become a source of modules.
        self._helper = Helper(
            (sys.executable, "-P", str(_SCRIPT), library, str(os.getpid())),
            deadline=deadline,
            start_deadline=start_deadline,
        )
        self._clock = clock or SystemClock()
        self._new_hasher = new_hasher

    async def inventory(self) -> tuple[Gpu, ...]:
        """The GPUs that are there now, less those that have fallen off the bus."""
        rows = await self._helper.call("inventory")
        try:
            there = [row for row in rows if "lost" not in row]
            if len(there) < len(rows):
                # This process would never see it again; another one does, once it is back.
                await self._helper.renew()
            return tuple(_gpu(row) for row in there)
        except (KeyError, TypeError, ValueError) as error:
            raise GpuError(f"the GPU driver's answer makes no sense: {error}", hint="update nvidia-ml-py") from error

    async def states(self, uuids: tuple[str, ...]) -> tuple[GpuState, ...]:
        """What these GPUs are left with now."""
        rows = await self._helper.call("state", uuids=list(uuids))
        return tuple(parse_row(row) for row in rows)

    def meter(self, uuids: tuple[str, ...], samples: Path | None = None) -> AbstractAsyncContextManager[SamplingMeter]:
        """Meter these GPUs while the context is open; `samples` takes the sample lines."""

        async def take() -> tuple[Sample, ...]:
            return await self._sample(uuids)

        hasher = self._new_hasher() if self._new_hasher is not None else None
        return metering(take, uuids, self._clock, samples, hasher)

    async def aclose(self) -> None:
        """End the helper process."""
        await self._helper.aclose()

    async def _sample(self, uuids: tuple[str, ...]) -> tuple[Sample, ...]:
        rows = await self._helper.call("sample", uuids=list(uuids))
        at, time_ms = self._clock.monotonic(), round(self._clock.time() * 1000)
        return tuple(
            Sample(
                uuid=str(row["uuid"]),
                at=at,
                time_ms=time_ms,
                energy_mj=parse_reading(row.get("energy_mj")),
                power_mw=parse_reading(row.get("power_mw")),
                utilisation=parse_reading(row.get("utilisation")),
            )
            for row in rows
        )


def _gpu(row: dict[str, Any]) -> Gpu:
    limit = number(parse_reading(row.get("power_limit_mw")))
    return Gpu(
        provider="nvidia",
        index=int(row["index"]),
        uuid=str(row["uuid"]),
        name=str(row["name"]),
        vram_bytes=number(parse_reading(row.get("vram_bytes"))),
        driver=_text(row.get("driver")),
        cuda=_text(row.get("cuda")),
        compute_capability=_text(row.get("compute_capability")),
        power_limit_watts=None if limit is None else limit / 1000,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
