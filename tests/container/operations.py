"""Planned operations for tests."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from typing import Any

from node.records import ContainerSpec, IsolationProfile, Limits, PlannedOperation

LIMITS = Limits(
    memory_bytes=128 * 1024**2,
    pids=128,
    cpus=1.0,
    shm_bytes=16 * 1024**2,
    open_files=1024,
    log_bytes=64 * 1024**2,
)


def operation(
    image: str, node: str, command: str | list[str] | None, *, limits: Limits = LIMITS, **spec: Any
) -> PlannedOperation:
    """One operation of a job of its own; a text is run by the shell. `spec`: other members of ContainerSpec."""
    job = f"Job{secrets.token_hex(8)}"
    words = ("/bin/sh", "-c", command) if isinstance(command, str) else None if command is None else tuple(command)
    base = ContainerSpec(
        name=f"{job}-0",
        image=image,
        command=words,
        entrypoint=None,
        env=(),
        work_dir=None,
        gpu_uuids=(),
        labels=(
            ("gpunode.lane", "main"),
            ("gpunode.job", job),
            ("gpunode.operation", "0"),
            ("gpunode.node", node),
        ),
        network="gpn" + hashlib.sha256(job.encode()).hexdigest()[:12],
        aliases=(),
        limits=limits,
        profile=IsolationProfile.STANDARD,
    )
    return PlannedOperation(index=0, id="op", group="op", container=replace(base, **spec))
