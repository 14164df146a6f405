"""The owner's API's documents, in the Nosana node's form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from node.api.owner.port import JobView, LogFrame, NodeView, ServiceStatus, ServiceView, StateFrame, StatSample
from node.records import Address

LOG_METHOD = "NodeRepository.displayLog"
"""What the network's client knows container output by."""


def compact(document: Any) -> str:
    """As JSON without blanks."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def job_info(view: JobView) -> dict[str, Any]:
    """A frame of `/job/JOB/info`."""
    return {**view.state, "errors": list(view.state.get("errors", ())), "operations": _operations(view)}


def _operations(view: JobView) -> dict[str, Any] | None:
    if view.operations is None:
        return None
    document: dict[str, Any] = {"all": statuses(view)}
    if view.current_group is None:
        return {**document, "currentGroupStatus": None}
    current = statuses(view, view.current_group)
    return {**document, "currentGroup": view.current_group, "currentGroupStatus": current}


def statuses(view: JobView, group: str | None = None) -> dict[str, str]:
    """Status by operation, of one group or of all."""
    return {each.id: each.status.value for each in view.operations or () if group in (None, each.group)}


def endpoints(services: Iterable[ServiceView]) -> dict[str, Any]:
    """`/job/JOB/endpoints`; the whole is ONLINE when one service is."""
    urls = {
        each.id: {"opID": each.operation, "port": _port(each.port), "url": each.url, "status": each.status.value}
        for each in services
    }
    online = any(each["status"] == ServiceStatus.ONLINE for each in urls.values())
    return {"urls": urls, "status": "ONLINE" if online else "OFFLINE"}


def _port(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() else text


def stat(sample: StatSample) -> dict[str, Any]:
    """One sample of an operation's use."""
    used, limit = sample.memory_usage, sample.memory_limit
    return {
        "opId": sample.operation,
        "timestamp": sample.timestamp_ms,
        "cpu": {"cpu_percent": sample.cpu_percent},
        "memory": {
            "memory_usage": used,
            "memory_limit": limit,
            "memory_percent": round(100 * used / limit, 3) if limit else 0.0,
        },
        "disk": {"read": sample.disk_read, "write": sample.disk_write},
        "network": {"received": sample.network_received, "sent": sample.network_sent},
    }


def node_info(node: NodeView) -> dict[str, Any]:
    """`/node/info`. Images and volumes are not told: they would show what other owners run."""
    return {
        "node": node.address,
        "uptime": datetime.fromtimestamp(node.started_at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
        "state": node.state,
        "info": dict(node.info),
        "resources": {"images": [], "volumes": []},
    }


# --- frames of sockets: a document with a document's text in it, as the network's clients take them -----------------


def flog_frame(frame: LogFrame) -> str:
    """A frame of the socket `/flog`."""
    line: dict[str, Any] = {"opId": frame.operation, "group": frame.group}
    if frame.kind is not None:
        line["type"] = frame.kind.value
    message = frame.message if isinstance(frame.message, str) else dict(frame.message)
    return _frame("flog", {**line, "timestamp": frame.timestamp_ms, "message": message})


def log_frame(frame: LogFrame, job: Address) -> str:
    """A frame of the socket `/log`; container output is what the network's client writes as it is."""
    about = {"job": job, "timestamp": frame.timestamp_ms}
    if isinstance(frame.message, Mapping):
        words = frame.message
        line = {"method": "gpunode", "type": words.get("type", "info"), "payload": words.get("payload"), "log": ""}
        return _frame("log", {**line, **about})
    if frame.stream:
        return _frame("log", {"method": LOG_METHOD, "type": "log", "log": frame.message, **about})
    kind = "info" if frame.kind is None else frame.kind.value
    return _frame("log", {"method": "gpunode", "type": kind, "log": frame.message.rstrip("\n"), **about})


def state_frame(frame: StateFrame) -> str:
    """A frame of the socket `/status`."""
    line = {
        "status": frame.status,
        "state": dict(frame.state),
        "timestamp": frame.timestamp_ms,
        "index": frame.index,
    }
    return _frame("state", line)


def _frame(path: str, data: Mapping[str, Any]) -> str:
    return compact({"path": path, "data": compact(data)})
