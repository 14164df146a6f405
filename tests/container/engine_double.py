"""An engine in memory that behaves like one, and can be made to fail, for tests of timing and of broken connections.

Its containers do what the test says: they print, exit, and end when stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from node.container.egress.bridges import bridge_name
from node.container.engine import (
    ContainerStats,
    ContainerView,
    EngineEvent,
    EngineInfo,
    ImageInfo,
    LogFrame,
    NetworkView,
    PullProgress,
    VolumeView,
)
from node.errors import EngineRejected, EngineUnavailable, ImagePullFailed
from node.logins import DockerLogin
from node.records import ContainerSpec, Egress

GONE = "no such container"


@dataclass
class FakeContainer:
    spec: ContainerSpec
    id: str
    created_at: str = ""
    status: str = "created"
    exit_code: int = 0
    frames: list[LogFrame] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Replaced at each change: whoever took it before looking misses nothing."""

    async def change(self, **values: Any) -> None:
        for key, value in values.items():
            setattr(self, key, value)
        self.changed.set()
        self.changed = asyncio.Event()


class FakeEngine:
    def __init__(self) -> None:
        self.containers: dict[str, FakeContainer] = {}
        self.network_labels: dict[str, dict[str, str]] = {}
        self.bridges: dict[str, str] = {}
        self.images = {"image": ImageInfo("sha256:image", ("image@sha256:manifest",), 1)}
        self.pulls: list[str] = []
        self.logins: list[DockerLogin | None] = []
        self.pull_errors: list[ImagePullFailed] = []
        self.pull_gate: asyncio.Event | None = None
        self.image_sizes: dict[str, int] = {}
        self.foreign_use: set[str] = set()
        self.volume_labels: dict[str, dict[str, str]] = {}
        self.written_bytes = 0
        self.down = False
        self.calls: list[str] = []
        self.fail: dict[str, list[Exception]] = {}
        self.connections: list[asyncio.Event] = []
        self._made = 0

    # --- what tests do --------------------------------------------------------------------------------------

    def crash(self) -> None:
        """Stop answering and break every connection; containers run on."""
        self.down = True
        for connection in self.connections:
            connection.set()
        self.connections.clear()

    async def print(self, container: str, *frames: LogFrame) -> None:
        box = self.containers[container]
        await box.change(frames=[*box.frames, *frames])

    async def exit(self, container: str, code: int) -> None:
        await self.containers[container].change(status="exited", exit_code=code)

    def only(self) -> FakeContainer:
        (container,) = self.containers.values()
        return container

    # --- the contract ---------------------------------------------------------------------------------------

    async def info(self) -> EngineInfo:
        self._enter("info")
        return EngineInfo("fake", "1", "1", "overlay2", "2", 2, 1 << 30, ("runc",), (), "/")

    async def image(self, reference: str) -> ImageInfo | None:
        self._enter("image")
        return self.images.get(reference)

    async def pull(
        self, reference: str, on_progress: Callable[[PullProgress], None], login: DockerLogin | None = None
    ) -> ImageInfo:
        self._enter("pull")
        self.pulls.append(reference)
        self.logins.append(login)
        on_progress(PullProgress(reference, 1, 2, 500_000, 2_000_000))
        if self.pull_gate is not None:
            await self.pull_gate.wait()
        if self.pull_errors:
            raise self.pull_errors.pop(0)
        self.images[reference] = ImageInfo(f"sha256:{reference}", (), self.image_sizes.get(reference, 1), (reference,))
        return self.images[reference]

    async def local_images(self) -> tuple[ImageInfo, ...]:
        self._enter("images")
        return tuple(self.images.values())

    async def images_in_use(self) -> frozenset[str]:
        self._enter("images_in_use")
        return frozenset(box.spec.image for box in self.containers.values()) | self.foreign_use

    async def remove_image(self, name: str) -> bool:
        self._enter("remove_image")
        for reference, image in list(self.images.items()):
            if name in (reference, image.id):
                del self.images[reference]
        return True

    async def volumes(self, labels: Mapping[str, str]) -> tuple[VolumeView, ...]:
        self._enter("volumes")
        return tuple(VolumeView(name, own) for name, own in self.volume_labels.items() if _matches(labels, own))

    async def ensure_volume(self, name: str, labels: Mapping[str, str]) -> None:
        self._enter("ensure_volume")
        self.volume_labels.setdefault(name, dict(labels))

    async def remove_volume(self, name: str) -> bool:
        self._enter("remove_volume")
        self.volume_labels.pop(name, None)
        return True

    async def ensure_network(self, name: str, labels: Mapping[str, str], egress: Egress = Egress.OPEN) -> None:
        self._enter("ensure_network")
        self.network_labels.setdefault(name, dict(labels))
        self.bridges.setdefault(name, bridge_name(name, egress))

    async def remove_network(self, name: str) -> bool:
        self._enter("remove_network")
        if any(box.spec.network == name for box in self.containers.values()):
            return False
        self.network_labels.pop(name, None)
        self.bridges.pop(name, None)
        return True

    async def networks(self, labels: Mapping[str, str]) -> tuple[NetworkView, ...]:
        self._enter("networks")
        return tuple(
            NetworkView(name, name, own, self.bridges.get(name, ""))
            for name, own in self.network_labels.items()
            if _matches(labels, own)
        )

    async def create(self, spec: ContainerSpec) -> str:
        self._enter("create")
        self._made += 1
        box = FakeContainer(spec, f"container-{self._made}", f"2026-11-20T12:00:{self._made % 60:02d}.000000000Z")
        self.containers[box.id] = box
        return box.id

    async def start(self, container: str) -> None:
        self._enter("start")
        await self._box(container).change(status="running")

    async def stop(self, container: str, grace: float) -> None:
        self._enter("stop")
        box = self.containers.get(container)
        if box is not None and box.status == "running":
            await box.change(status="exited", exit_code=137)

    async def remove(self, container: str) -> None:
        self._enter("remove")
        box = self.containers.pop(container, None)
        if box is not None:
            await box.change(status="removed")

    async def inspect(self, container: str) -> ContainerView | None:
        self._enter("inspect")
        box = self.containers.get(container)
        return None if box is None else _view(box)

    async def written(self, containers: Sequence[str], volumes: Sequence[str] = ()) -> int:
        self._enter("written")
        return self.written_bytes

    async def stats(self, container: str) -> ContainerStats | None:
        self._enter("stats")
        return None

    async def find(self, labels: Mapping[str, str]) -> tuple[ContainerView, ...]:
        self._enter("find")
        return tuple(_view(box) for box in self.containers.values() if _matches(labels, dict(box.spec.labels)))

    async def wait(self, container: str) -> int:
        self._enter("wait")
        box = self._box(container)
        while box.status in ("created", "running"):
            await self._next_change(box.changed)
        if box.status == "removed":
            raise EngineRejected(GONE, status=404)
        return box.exit_code

    async def logs(
        self, container: str, since: str | None = None, *, follow: bool = True
    ) -> AsyncIterator[Sequence[LogFrame]]:
        self._enter("logs")
        box = self._box(container)
        position = 0
        while True:
            changed = box.changed
            fresh = [frame for frame in box.frames[position:] if since is None or frame.timestamp >= since]
            position = len(box.frames)
            if fresh:
                yield fresh
            if not follow or box.status != "running":
                return
            await self._next_change(changed)

    async def events(self, labels: Mapping[str, str]) -> AsyncIterator[EngineEvent]:
        self._enter("events")
        raise EngineUnavailable("no events here")
        yield

    async def aclose(self) -> None:
        pass

    # --- inside ---------------------------------------------------------------------------------------------

    def _enter(self, call: str) -> None:
        self.calls.append(call)
        if self.down:
            raise EngineUnavailable("the engine is down")
        if self.fail.get(call):
            raise self.fail[call].pop(0)

    def _box(self, container: str) -> FakeContainer:
        if container not in self.containers:
            raise EngineRejected(GONE, status=404)
        return self.containers[container]

    async def _next_change(self, changed: asyncio.Event) -> None:
        broken = asyncio.Event()
        self.connections.append(broken)
        async with asyncio.TaskGroup() as group:
            tasks = (group.create_task(changed.wait()), group.create_task(broken.wait()))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
        if broken.is_set():
            raise EngineUnavailable("the connection broke")


def _matches(labels: Mapping[str, str], own: Mapping[str, str]) -> bool:
    return all(key in own and value in ("", own[key]) for key, value in labels.items())


def _view(box: FakeContainer) -> ContainerView:
    running = box.status == "running"
    return ContainerView(
        id=box.id,
        name=box.spec.name,
        labels=dict(box.spec.labels),
        status=box.status,
        running=running,
        exit_code=box.exit_code if box.status == "exited" else None,
        state={"Status": box.status, "ExitCode": box.exit_code, "RestartCount": 0},
        image_id="sha256:image",
        entrypoint=None,
        command=box.spec.command,
        started_at="",
        created_at=box.created_at,
    )
