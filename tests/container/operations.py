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


def new_job() -> str:
    """The address of a job that no other test has."""
    return f"Job{secrets.token_hex(8)}"


def network_of(job: str) -> str:
    """The name of a job's network."""
    return "gpn" + hashlib.sha256(job.encode()).hexdigest()[:12]


def operation(
    image: str,
    node: str,
    command: str | list[str] | None,
    *,
    limits: Limits = LIMITS,
    job: str = "",
    index: int = 0,
    **spec: Any,
) -> PlannedOperation:
    """One operation, of a job of its own where none is named; a text is run by the shell. `spec`: other members of
    ContainerSpec."""
    job = job or new_job()
    words = ("/bin/sh", "-c", command) if isinstance(command, str) else None if command is None else tuple(command)
    base = ContainerSpec(
        name=f"{job}-{index}",
        image=image,
        command=words,
        entrypoint=None,
        env=(),
        work_dir=None,
        gpu_uuids=(),
        labels=(
            ("gpunode.lane", "main"),
            ("gpunode.job", job),
            ("gpunode.operation", str(index)),
            ("gpunode.node", node),
        ),
        network=network_of(job),
        aliases=(f"{job}-{index}",),
        limits=limits,
        profile=IsolationProfile.STANDARD,
    )
    name = "op" if index == 0 else f"op{index}"
    return PlannedOperation(index=index, id=name, group="op", container=replace(base, **spec))
