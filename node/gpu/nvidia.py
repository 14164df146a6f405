"""NVIDIA GPUs through the driver's management library, in a helper process."""

from __future__ import annotations

import os
import sys
from collections import Counter
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from node.errors import GpuError
from node.gpu.helper import DriverRefused, Helper
from node.gpu.meter import NewHasher, SamplingMeter, metering
from node.gpu.sampler import Sampler
from node.gpu.samples import Failure, Round, Sample, number, parse_reading, sample_of
from node.gpu.state import GpuState, parse_row
from node.records import Gpu
from node.retry import Clock, SystemClock

RENEW_SECONDS = 30.0
"""Between two processes that are begun for the sake of a GPU that is lost."""
MOST_XIDS = 256
"""In one sample: a program can cause them as fast as it likes."""
GONE_CODES = frozenset((15, 16))
"""NVML errors that are the GPU's own: lost, reset required."""


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
        # -P: the working folder must not become a source of modules.
        self._helper = Helper(
            (sys.executable, "-P", "-m", "node.gpu.nvml", library, str(os.getpid())),
            deadline=deadline,
            start_deadline=start_deadline,
        )
        self._clock = clock or SystemClock()
        self._new_hasher = new_hasher
        self._seen_xids: dict[str, tuple[str, Counter[int]]] = {}
        """By UUID: the helper's life, and what was counted in it."""
        self._renewed_at: float | None = None
        self.sampler = Sampler(self._sample, self._clock)
        """The one look a second at all GPUs that are followed."""

    async def inventory(self) -> tuple[Gpu, ...]:
        """The GPUs that are there now, less those that have fallen off the bus."""
        rows = await self._helper.call("inventory")
        try:
            there = [row for row in rows if "lost" not in row]
            if len(there) < len(rows):
                await self._renew()
            return tuple(_gpu(row) for row in there)
        except (KeyError, TypeError, ValueError) as error:
            raise GpuError(f"the GPU driver's answer makes no sense: {error}", hint="update nvidia-ml-py") from error

    async def states(self, uuids: tuple[str, ...]) -> tuple[GpuState, ...]:
        """What these GPUs are left with now, all of them."""
        rows = await self._helper.call("state", uuids=list(uuids))
        for failed in (row["failed"] for row in rows if "failed" in row):
            await self._renew()
            raise DriverRefused(f"the GPU driver refused: {failed['message']}", code=failed["code"])
        return tuple(parse_row(row) for row in rows)

    async def looks(self, uuids: tuple[str, ...]) -> tuple[GpuState, ...]:
        """As `states`, less those that cannot be read."""
        rows = await self._helper.call("state", uuids=list(uuids))
        return tuple(parse_row(row) for row in rows if "failed" not in row)

    def meter(self, uuids: tuple[str, ...], samples: Path | None = None) -> AbstractAsyncContextManager[SamplingMeter]:
        """Meter these GPUs while the context is open; `samples` takes the sample lines, after those that are there."""
        return metering(self.sampler, uuids, samples, self._new_hasher() if self._new_hasher is not None else None)

    async def aclose(self) -> None:
        """End the helper process."""
        await self._helper.aclose()

    async def _renew(self) -> None:
        """A process never sees a lost GPU again; another one does, once it is back. Not too often: a new process knows
        nothing of errors that were reported before it, and a driver takes long to wake up."""
        now = self._clock.monotonic()
        if self._renewed_at is None or now - self._renewed_at >= RENEW_SECONDS:
            self._renewed_at = now
            await self._helper.renew()

    async def _sample(self, uuids: tuple[str, ...]) -> Round:
        rows = await self._helper.call("sample", uuids=list(uuids))
        at, time_ms = self._clock.monotonic(), round(self._clock.time() * 1000)
        try:
            samples = tuple(self._parsed(row, at, time_ms) for row in rows if "failed" not in row)
            failures = tuple(
                Failure(str(row["uuid"]), time_ms, str(row["failed"]["message"]))
                for row in rows
                if "failed" in row and row["failed"]["code"] in GONE_CODES
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise GpuError(f"the GPU driver's answer makes no sense: {error}", hint="update nvidia-ml-py") from error
        return Round(samples, failures)

    def _parsed(self, row: dict[str, Any], at: float, time_ms: int) -> Sample:
        uuid = str(row["uuid"])
        counts = Counter({int(xid): int(count) for xid, count in row.get("xid_counts", {}).items()})
        epoch = str(row.get("epoch", ""))
        known = self._seen_xids.get(uuid)
        self._seen_xids[uuid] = (epoch, counts)
        # What was reported before anybody looked belongs to nobody's span; a new process has counted only what is new.
        before = counts if known is None else known[1] if known[0] == epoch else Counter[int]()
        return sample_of(row, uuid, at, time_ms, tuple(sorted((counts - before).elements())[:MOST_XIDS]))


COMPUTE_MODES = {0: "default", 2: "prohibited", 3: "exclusive"}


def _gpu(row: dict[str, Any]) -> Gpu:
    def count(name: str) -> int | None:
        return number(parse_reading(row.get(name)))

    def watts(name: str) -> float | None:
        milliwatts = count(name)
        return None if milliwatts is None else milliwatts / 1000

    def switch(name: str) -> bool | None:
        value = count(name)
        return None if value is None else value != 0

    mode = count("compute_mode")
    return Gpu(
        provider="nvidia",
        index=int(row["index"]),
        uuid=str(row["uuid"]),
        name=str(row["name"]),
        vram_bytes=count("vram_bytes"),
        driver=_text(row.get("driver")),
        cuda=_text(row.get("cuda")),
        compute_capability=_text(row.get("compute_capability")),
        power_limit_watts=watts("power_limit_mw"),
        power_default_watts=watts("power_default_mw"),
        power_most_watts=watts("power_most_mw"),
        pcie_width_most=count("pcie_width_most"),
        pcie_generation_most=count("pcie_generation_most"),
        slowdown_temperature=count("slowdown_temperature"),
        shutdown_temperature=count("shutdown_temperature"),
        bus_id=_text(row.get("bus_id")),
        ecc=switch("ecc_mode"),
        persistence=switch("persistence"),
        compute_mode=None if mode is None else COMPUTE_MODES.get(mode, str(mode)),
        mig=switch("mig_mode"),
        parent=_text(row.get("parent")),
        slices=count("slices"),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
