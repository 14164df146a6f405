"""The engine contract: all that the agent ever asks of a container engine.

Every method may raise `EngineUnavailable` (no answer: the engine's state is unknown, never "failed") or
`EngineRejected` (an answer that a retry will not change); `pull` also raises `ImagePullFailed`.
Containers are found by label, because labels survive a crash of the agent and names can be taken by others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from node.container.reference import familiar, split_reference
from node.logins import DockerLogin
from node.records import ContainerSpec, Egress

NODE_LABEL = "gpunode.node"
JOB_LABEL = "gpunode.job"
LANE_LABEL = "gpunode.lane"
OPERATION_LABEL = "gpunode.operation"

StreamName = Literal["stdout", "stderr"]


@dataclass(frozen=True, slots=True)
class EnginePart:
    """A program that the engine works with, as it names it: containerd, runc, docker-init."""

    name: str
    version: str
    revision: str
    """The commit it was built from; distributions put their package's version here."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the engine says of itself and its host."""

    name: str
    """`docker`."""
    version: str
    api_version: str
    storage_driver: str
    cgroup_version: str
    cpus: int
    memory_bytes: int
    runtimes: tuple[str, ...]
    security_options: tuple[str, ...]
    root_dir: str
    """Folder that images and containers fill up (for disk checks)."""
    warnings: tuple[str, ...] = ()
    parts: tuple[EnginePart, ...] = ()
    operating_system: str = ""
    """Of the engine's host, for people."""
    runtime_commands: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Of the runtimes that are programs: the program with the arguments the engine adds."""
    backing: str = ""
    """File system below the storage driver, as the engine names it (`extfs`, `xfs`, …)."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """One local image."""

    id: str
    """`sha256:…` of the image's configuration (of its manifest with a containerd image store)."""
    repo_digests: tuple[str, ...]
    """`repository@sha256:…` as registries know it; empty for an image made or loaded here."""
    size_bytes: int
    tags: tuple[str, ...] = ()
    """Its names without digests, as the engine spells them."""

    def digest_for(self, reference: str) -> str:
        """`sha256:…` to name this image by: the registry's digest for the reference's repository, which
        anyone can pull and compare, else the image's own id."""
        repository = split_reference(reference)[0]
        for entry in self.repo_digests:
            name, _, digest = entry.partition("@")
            if familiar(name) == familiar(repository):
                return digest
        return self.id


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a pull is. Totals grow while the engine learns of layers."""

    image: str
    layers_done: int
    layers_total: int
    bytes_done: int
    bytes_total: int


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One container as the engine reports it."""

    id: str
    name: str
    labels: dict[str, str]
    status: str
    """`created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`."""
    running: bool
    exit_code: int | None
    """None while it runs and when it never started."""
    state: dict[str, Any]
    """The engine's own State object plus RestartCount."""
    image_id: str
    entrypoint: tuple[str, ...] | None
    """As run: the image's own where the spec has none."""
    command: tuple[str, ...] | None
    started_at: str
    created_at: str
    layers: tuple[str, ...] = ()
    """Folders of its image's layers on the host's disk, as the engine names them."""
    writable: tuple[str, ...] = ()
    """Folders and files of the host's disk that it can write: its own layer, its volumes, its name files. As the
    engine names them; they need not be visible to this user."""
    mounted: tuple[str, ...] = ()
    """Folders of the host's disk that are mounted into it: volumes, and data of this host's cache."""
    addresses: tuple[str, ...] = ()
    """Its IP addresses on its networks, while it runs."""


@dataclass(frozen=True, slots=True)
class ContainerStats:
    """What a container uses now. Bytes unless said otherwise; the counters since its start."""

    cpu_percent: float
    """100: one processor."""
    memory_usage: int
    """Less what the kernel could take back at once."""
    memory_limit: int
    disk_read: int
    disk_written: int
    network_received: int
    network_sent: int


@dataclass(frozen=True, slots=True)
class NetworkView:
    """One network as the engine reports it."""

    id: str
    name: str
    labels: dict[str, str]
    bridge: str = ""
    """The interface that it was made with."""


@dataclass(frozen=True, slots=True)
class VolumeView:
    """One volume as the engine reports it."""

    name: str
    labels: dict[str, str]
    folder: str = ""
    """Where it is on the host's disk; it need not be visible to this user."""


@dataclass(frozen=True, slots=True)
class LogFrame:
    """One piece of a container's output, as the engine recorded it."""

    stream: StreamName
    timestamp: str
    """RFC 3339 with nanoseconds, the engine's own text."""
    data: bytes
    """Keeps its newline; a line over the engine's buffer (16 KiB with Docker) comes in several pieces."""


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """Something happened to a container."""

    id: str
    action: str
    """`start`, `die`, `oom`, `kill`, `stop`, `destroy`, …"""
    labels: dict[str, str]
    time_ns: int


class Engine(Protocol):
    """A container engine on this host."""

    async def info(self) -> EngineInfo:
        """Version, storage, runtimes and size of the engine's host."""
        ...

    async def image(self, reference: str) -> ImageInfo | None:
        """The local image of that name, or None."""
        ...

    async def pull(
        self, reference: str, on_progress: Callable[[PullProgress], None], login: DockerLogin | None = None
    ) -> ImageInfo:
        """Fetch an image from its registry, logged in there as `login` says; no error tells any of that."""
        ...

    async def local_images(self) -> tuple[ImageInfo, ...]:
        """All local images, those without a name among them."""
        ...

    async def images_in_use(self) -> frozenset[str]:
        """Ids and names of the images of all containers, in any state and whoever made them."""
        ...

    async def remove_image(self, name: str) -> bool:
        """Take one name from an image; the last one takes its layers along, and an id takes its only name along. Never
        by force: False where the engine keeps it, for a container or another name. Missing counts as removed."""
        ...

    async def ensure_network(self, name: str, labels: Mapping[str, str], egress: Egress = Egress.OPEN) -> None:
        """Make the bridge network unless it is there; `egress` names its bridge."""
        ...

    async def remove_network(self, name: str) -> bool:
        """Remove a network; False if containers are still attached. Missing counts as removed."""
        ...

    async def networks(self, labels: Mapping[str, str]) -> tuple[NetworkView, ...]:
        """Networks that carry all these labels (an empty value matches any)."""
        ...

    async def volumes(self, labels: Mapping[str, str]) -> tuple[VolumeView, ...]:
        """Volumes that carry all these labels (an empty value matches any)."""
        ...

    async def ensure_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Make the volume unless it is there. One of that name without these labels is somebody else's: rejected."""
        ...

    async def remove_volume(self, name: str) -> bool:
        """Remove a volume; False if a container has it. Missing counts as removed."""
        ...

    async def create(self, spec: ContainerSpec) -> str:
        """Create a container (nothing runs yet) and return its id."""
        ...

    async def start(self, container: str) -> None:
        """Start a created container; no error if it runs already."""
        ...

    async def stop(self, container: str, grace: float) -> None:
        """Ask it to end, and kill it after `grace` seconds; returns when it has ended. Missing counts as ended."""
        ...

    async def remove(self, container: str) -> None:
        """Kill and remove a container with its anonymous volumes. Missing counts as removed."""
        ...

    async def inspect(self, container: str) -> ContainerView | None:
        """A container by id or name, or None."""
        ...

    async def written(self, containers: Sequence[str], volumes: Sequence[str] = ()) -> int:
        """Bytes in the layers of these containers, their volumes and these, each once, measured by the engine: slow
        where there is much."""
        ...

    async def stats(self, container: str) -> ContainerStats | None:
        """What a running container uses, measured for about a second; None where it does not run."""
        ...

    async def find(self, labels: Mapping[str, str]) -> tuple[ContainerView, ...]:
        """Containers in any state that carry all these labels (an empty value matches any)."""
        ...

    async def wait(self, container: str) -> int:
        """Wait, without limit, until it does not run; its exit code."""
        ...

    def logs(
        self, container: str, since: str | None = None, *, follow: bool = True
    ) -> AsyncIterator[Sequence[LogFrame]]:
        """Output from `since` (RFC 3339, inclusive) on, in batches as they arrive; ends when the container has
        ended or, without `follow`, at what is there now."""
        ...

    def events(self, labels: Mapping[str, str]) -> AsyncIterator[EngineEvent]:
        """Container events from now on; ends only by an error."""
        ...

    async def aclose(self) -> None:
        """Let go of connections and threads."""
        ...
