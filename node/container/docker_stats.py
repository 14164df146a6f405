"""What a container uses, worked out of the engine's counters as Docker's own client does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from node.container.engine import ContainerStats


def container_stats(raw: Mapping[str, Any]) -> ContainerStats | None:
    """Of two samples in one answer of `GET /containers/…/stats`; None where the container did not run."""
    memory = raw.get("memory_stats") or {}
    if not memory.get("usage"):
        return None
    kinds = memory.get("stats") or {}
    # Pages that the kernel gives back when asked; the older hierarchy sums them up over groups below.
    cached = _number(kinds.get("total_inactive_file", kinds.get("inactive_file")))
    usage = _number(memory.get("usage"))
    blocks = (raw.get("blkio_stats") or {}).get("io_service_bytes_recursive") or ()
    networks = (raw.get("networks") or {}).values()
    return ContainerStats(
        cpu_percent=_cpu_percent(raw.get("cpu_stats") or {}, raw.get("precpu_stats") or {}),
        memory_usage=usage - cached if cached < usage else usage,
        memory_limit=_number(memory.get("limit")),
        disk_read=_blocks(blocks, "read"),
        disk_written=_blocks(blocks, "write"),
        network_received=sum(_number(each.get("rx_bytes")) for each in networks),
        network_sent=sum(_number(each.get("tx_bytes")) for each in networks),
    )


def _cpu_percent(now: Mapping[str, Any], before: Mapping[str, Any]) -> float:
    used = _total(now) - _total(before)
    passed = _number(now.get("system_cpu_usage")) - _number(before.get("system_cpu_usage"))
    processors = _number(now.get("online_cpus")) or len((now.get("cpu_usage") or {}).get("percpu_usage") or ()) or 1
    return round(used / passed * processors * 100, 2) if used > 0 and passed > 0 else 0.0


def _total(sample: Mapping[str, Any]) -> int:
    return _number((sample.get("cpu_usage") or {}).get("total_usage"))


def _blocks(rows: Iterable[Mapping[str, Any]], kind: str) -> int:
    return sum(_number(row.get("value")) for row in rows if str(row.get("op", "")).lower() == kind)


def _number(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
