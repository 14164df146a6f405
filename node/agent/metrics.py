"""What the agent knows of itself as figures, in Prometheus' text format (version 0.0.4).

Labels are lanes, phases, causes, legs, GPUs and subjects of health: of each there are few. No label is a job's, or
comes from a stranger. What is not known is left out, never zero.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from node.journal.latency import SPAN_DAYS, Latency
from node.journal.totals import Totals
from node.records import AgentStatus, LanePhase
from node.records_gpus import GpuNow

DAY = 86_400
Sample = tuple[dict[str, str], float | int]


class Source(Protocol):
    """Where the figures are from: the running agent."""

    async def status(self) -> AgentStatus: ...
    async def latency(self, since: float) -> Latency: ...
    async def gpus_now(self) -> tuple[GpuNow, ...]: ...


class Metrics:
    """Reads the figures when somebody asks."""

    def __init__(
        self, source: Source, totals: Callable[[], Awaitable[Totals]], data: Path, now: Callable[[], float] = time.time
    ) -> None:
        self._source = source
        self._totals = totals
        self._data = data
        self._now = now

    async def text(self) -> str:
        """All of them. Raises JournalError."""
        now = self._now()
        disk = await asyncio.to_thread(shutil.disk_usage, self._data)
        return exposition(
            await self._source.status(),
            await self._source.latency(now - SPAN_DAYS * DAY),
            await self._totals(),
            await self._source.gpus_now(),
            disk.free,
            now,
        )


def exposition(
    status: AgentStatus, latency: Latency, totals: Totals, gpus: Sequence[GpuNow], disk_free: int, now: float
) -> str:
    """The text. `disk_free`: bytes, where the data folder is."""
    about = {"version": status.version, "cluster": status.cluster, "gpu_provider": status.gpu_provider}
    families = [
        _family("gpunode_info", "gauge", "The agent.", [(about, 1)]),
        _family("gpunode_up_seconds", "gauge", "For how long it has run.", [({}, round(now - status.started_at, 3))]),
        _family("gpunode_lane_phase", "gauge", "1: the lane is in this phase.", _phases(status)),
        _family(
            "gpunode_lane_queue_place",
            "gauge",
            "Place in the market's queue, from 1.",
            [({"lane": lane.lane}, lane.position) for lane in status.lanes if lane.position is not None],
        ),
        _family(
            "gpunode_lane_earning",
            "gauge",
            "1: the chain shows that the lane earns or waits for a job; 0: it does not.",
            [
                ({"lane": lane.lane}, int(lane.earning.earning))
                for lane in status.lanes
                if lane.earning is not None and lane.earning.earning is not None
            ],
        ),
        _family(
            "gpunode_lane_trailing_jobs",
            "gauge",
            "Jobs whose pay is on its way while the lane goes on.",
            [({"lane": lane.lane}, len(lane.trailing)) for lane in status.lanes],
        ),
        _family(
            "gpunode_health",
            "gauge",
            "1: ok; 0: failing; 0.5: not known.",
            [
                ({"subject": each.subject, "lane": each.lane}, {"ok": 1, "failing": 0}.get(each.state.value, 0.5))
                for each in status.health
            ],
        ),
        _family(
            "gpunode_jobs_total",
            "counter",
            "Settled jobs by how they ended.",
            [({"lane": each.lane, "end": each.end}, each.jobs) for each in totals.jobs],
        ),
        _family(
            "gpunode_pay_nos_total",
            "counter",
            "What jobs brought, in NOS.",
            [({"lane": each.lane, "end": each.end}, each.pay / 1e6) for each in totals.jobs],
        ),
        _family(
            "gpunode_job_leg_seconds",
            "gauge",
            f"What legs of jobs' ways took, of the last {SPAN_DAYS} days.",
            [
                ({"leg": leg.leg, "quantile": share}, value / 1000)
                for leg in latency.legs
                for share, value in (("0.5", leg.p50), ("0.95", leg.p95))
                if value is not None
            ],
        ),
        _family("gpunode_outbox_sending", "gauge", "Transactions on their way.", [({}, totals.sending)]),
        _family("gpunode_data_disk_free_bytes", "gauge", "Free where the data folder is.", [({}, disk_free)]),
        *_gpus(gpus),
    ]
    return "".join(families)


def _phases(status: AgentStatus) -> Iterable[Sample]:
    return [
        ({"lane": lane.lane, "phase": phase.value}, int(lane.phase is phase))
        for lane in status.lanes
        for phase in LanePhase
    ]


def _gpus(gpus: Sequence[GpuNow]) -> list[str]:
    readings: tuple[tuple[str, str, Callable[[GpuNow], float | int | None]], ...] = (
        ("gpunode_gpu_utilisation_percent", "Use.", lambda gpu: gpu.utilisation),
        ("gpunode_gpu_memory_bytes", "Memory in use.", lambda gpu: gpu.memory_bytes),
        ("gpunode_gpu_temperature_celsius", "Temperature.", lambda gpu: gpu.temperature),
        ("gpunode_gpu_power_watts", "Power.", lambda gpu: gpu.power_watts),
        ("gpunode_gpu_clock_mhz", "Clock.", lambda gpu: gpu.clock_mhz),
    )
    return [
        _family(name, "gauge", what, [({"gpu": gpu.uuid}, value) for gpu in gpus if (value := read(gpu)) is not None])
        for name, what, read in readings
    ]


def _family(name: str, kind: str, what: str, samples: Iterable[Sample]) -> str:
    lines = [
        f"{name}{_labels(labels)} {value:g}" if isinstance(value, float) else f"{name}{_labels(labels)} {value}"
        for labels, value in samples
    ]
    return "\n".join((f"# HELP {name} {what}", f"# TYPE {name} {kind}", *lines, "")) if lines else ""


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
