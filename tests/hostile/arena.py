"""Runs attacks through the product's own runner and profile, and watches them from the host."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import docker

from node.container.docker import DockerEngine
from node.container.log import read_entries
from node.container.runner import OperationRunner
from node.container.stop import StopSignal
from node.records import Address, EndCause, OperationState, PlannedOperation
from node.retry import Retry
from tests.container.operations import LIMITS, operation
from tests.hostile import host
from tests.hostile.images import Entry, hostile_image, layered_image

SOON = 40.0
"""Seconds in which any attack here must be over, its container's removal included."""
LOOK_SECONDS = 0.05


@dataclass
class Attack:
    """An attack under way, or over."""

    operation: PlannedOperation
    log_file: Path
    id: str = ""
    pid: int = 0
    """Of the container's first process, as the host counts."""
    group: host.Group | None = None
    state: OperationState | None = None
    tasks: int = 0
    memory: int = 0
    """The most that was seen of each."""
    lag: float = 0.0
    """The longest time, in seconds, for which the agent's loop was held up."""
    growth: int = 0
    """Bytes by which the agent's process grew, at the most."""
    least_free: int = 1 << 62
    least_free_inodes: int = 1 << 62
    """The least bytes and inodes free that were seen on the disk to be watched."""

    @property
    def ended(self) -> OperationState:
        """How it ended."""
        assert self.state is not None
        return self.state

    def said(self, stream: str = "stdout") -> str:
        """What it wrote so far."""
        return "".join(entry.log for entry in read_entries(self.log_file) if entry.type == stream)

    def answers(self) -> dict[str, str]:
        """Attempt -> `ok` or an error's name, for attacks that report so."""
        pairs = (line.rpartition(": ") for line in self.said().splitlines())
        return {name: answer for name, _, answer in pairs if name}

    async def tick(self) -> None:
        """Wait as long as between two looks at it."""
        await asyncio.sleep(LOOK_SECONDS)

    async def until_said(self, text: str, seconds: float = 15.0) -> None:
        """Wait until it has written that."""
        async with asyncio.timeout(seconds):
            while text not in self.said():
                assert self.state is None, f"ended ({self.state}) without {text!r}: {self.said()}{self.said('stderr')}"
                await asyncio.sleep(LOOK_SECONDS)


Look = Callable[[Attack], Awaitable[None]]


@dataclass
class Arena:
    """One engine, one runtime, and a runner as the agent has it."""

    engine: DockerEngine
    client: docker.APIClient
    program: bytes
    runtime: str
    node: str
    data: Path
    attacks: list[Attack] = field(default_factory=list)

    def image(self, *entries: Entry, changes: Sequence[str] = ()) -> str:
        """Name of an image with these things in it."""
        return hostile_image(self.client, self.program, entries, changes)

    def configured(self, **config: Any) -> str:
        """Name of an image whose configuration has these members, as no Dockerfile need have them."""
        return layered_image(self.client, self.program, 1, config)

    def operation(self, *words: str, image: str | None = None, **spec: Any) -> PlannedOperation:
        """One operation that runs `attack WORDS`, or with `command=` something else."""
        limits = replace(LIMITS, **spec.pop("limits", {}))
        command = spec.pop("command", ("/bin/attack", *words))
        made = operation(image or self.image(), self.node, command, limits=limits, **spec)
        return replace(made, container=replace(made.container, runtime=self.runtime))

    async def fight(self, *words: str, look: Look | None = None, stop: StopSignal | None = None, **spec: Any) -> Attack:
        """Let it run to its end, with `look` called once it runs; then see that nothing of it is left."""
        async with self.fighting(*words, stop=stop, **spec) as attack:
            if look is not None:
                await look(attack)
        return attack

    @asynccontextmanager
    async def fighting(
        self, *words: str, stop: StopSignal | None = None, watch: Path | None = None, **spec: Any
    ) -> AsyncIterator[Attack]:
        """The same, with the block run meanwhile. `watch`: a folder on whose disk the free space is noted."""
        op = self.operation(*words, **spec)
        runner = OperationRunner(
            self.engine, self.data, stop_grace=1.0, pull_retry=Retry(attempts=1, total=2.0, first=0.1)
        )
        attack = Attack(op, self.data / runner.log_name(op))
        self.attacks.append(attack)
        started = asyncio.Event()

        async def on_change(state: OperationState) -> None:
            if state.container_id:
                attack.id = state.container_id
                started.set()

        async def run() -> None:
            try:
                attack.state = await runner.run_operation(op, None, on_change=on_change, stop=stop or StopSignal())
                await runner.clean_job(Address(dict(op.spec.labels)["gpunode.job"]), op.spec.network)
            finally:
                started.set()

        async with asyncio.timeout(SOON), asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(attack, watch))
            running = group.create_task(run())
            await started.wait()
            await self._find(attack)
            yield attack
            await running
            watching.cancel()
        await self._gone(attack)

    async def stop_after(self, attack: Attack, stop: StopSignal, said: str) -> float:
        """Tell it to end once it has written that; seconds until the engine has no running container of it."""
        await attack.until_said(said)
        begin = time.monotonic()
        stop.request(EndCause.STOPPED)
        while attack.state is None:
            await asyncio.sleep(LOOK_SECONDS)
        return time.monotonic() - begin

    async def _find(self, attack: Attack) -> None:
        until = time.monotonic() + 10
        while attack.state is None and attack.id and time.monotonic() < until:
            view = await self.engine.inspect(attack.id)
            pid = int(view.state.get("Pid") or 0) if view is not None else 0
            if pid:
                attack.group = host.Group(pid, attack.id)
                attack.pid = pid
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _watch(self, attack: Attack, disk: Path | None) -> None:
        base = host.resident_bytes()
        while True:
            before = time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)
            attack.lag = max(attack.lag, time.monotonic() - before - LOOK_SECONDS)
            attack.growth = max(attack.growth, host.resident_bytes() - base)
            if disk is not None:
                attack.least_free = min(attack.least_free, host.free_bytes(disk))
                attack.least_free_inodes = min(attack.least_free_inodes, host.free_inodes(disk))
            if attack.group is not None:
                attack.tasks = max(attack.tasks, attack.group.tasks())
                attack.memory = max(attack.memory, attack.group.memory())

    async def _gone(self, attack: Attack) -> None:
        # The kernel takes its time to let go of a group that has used much.
        until = time.monotonic() + 10
        while attack.group is not None and attack.group.is_there() and time.monotonic() < until:
            await asyncio.sleep(LOOK_SECONDS)
        job = dict(attack.operation.container.labels)["gpunode.job"]
        filters = {"label": f"gpunode.job={job}"}
        assert self.client.containers(all=True, filters=filters) == []
        assert self.client.networks(filters=filters) == []
        if attack.id and not self._may_leave_sandbox(attack):
            assert host.processes_of(attack.id) == []
            assert not [line for line in host.mounts() if attack.id in line]
            assert attack.group is None or not attack.group.is_there()

    def _may_leave_sandbox(self, attack: Attack) -> bool:
        # Older releases of gVisor leave their (idle) sandbox where the first program cannot be started in it.
        failed = any(error.event == "container-runtime-error" for error in attack.ended.errors)
        return self.runtime == "runsc" and failed

    def clear(self) -> None:
        """End what an attack has left, and what a failed test has."""
        for attack in self.attacks:
            for pid in host.processes_of(attack.id) + host.named_for(attack.id) if attack.id else ():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
