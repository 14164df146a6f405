"""Docker as the engine.

Short calls: docker-py in a few threads, each with a client of its own (its sessions are not made for sharing).
Logs, events, waits, stops and pulls: the streaming transport, no thread each.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import docker
import docker.errors
import requests.exceptions

from node.container.docker_stats import container_stats
from node.container.docker_views import (
    container_view,
    engine_part,
    image_info,
    network_view,
    runtime_commands,
    volume_view,
)
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
from node.container.frames import FrameDecoder
from node.container.group_stats import group_stats
from node.container.mounts import is_volume_name
from node.container.profile import create_request, network_request
from node.container.pull import pull_image
from node.container.reference import is_named, is_reference
from node.container.subnets import with_addresses
from node.container.traits import EngineTraits, traits_of
from node.container.transport import EngineTransport, json_lines, rejection_hint, socket_path, unavailable
from node.errors import ContainerError, EngineRejected, EngineUnavailable
from node.logins import DockerLogin
from node.marks import Mark, marked
from node.records import ContainerSpec, Egress

T = TypeVar("T")

API_VERSION = "1.41"
"""Docker 20.10's, the oldest supported engine; newer ones still serve it (asserted by `info`)."""
CALL_SECONDS = 60.0
"""A short call without an answer for so long counts as "engine unavailable"."""

PING_SECONDS = 5.0


class DockerEngine:
    """A Docker engine behind a unix socket (None: DOCKER_HOST or the default socket)."""

    def __init__(self, socket: Path | None = None, *, threads: int = 4) -> None:
        self.socket = socket_path(str(socket) if socket else None)
        self._transport = EngineTransport(self.socket)
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="engine")
        self._local = threading.local()
        self._clients: list[docker.APIClient] = []
        self._prefix = f"/v{API_VERSION}"

    # --- short calls ----------------------------------------------------------------------------------------

    async def ping(self) -> None:
        """See whether it answers. Not in the threads of the other calls, which an engine that hangs keeps busy.

        Raises EngineUnavailable or EngineRejected.
        """
        async with self._transport.stream("GET", "/_ping", {}, quiet=PING_SECONDS) as chunks:
            async for _ in chunks:
                pass

    async def info(self) -> EngineInfo:
        """Version, storage, runtimes and size of the engine's host."""
        info = await self._call(lambda client: client.info())
        version = await self._call(lambda client: client.version(api_version=False))
        return EngineInfo(
            name="docker",
            version=str(info.get("ServerVersion", "")),
            api_version=str(version.get("ApiVersion", "")),
            storage_driver=str(info.get("Driver", "")),
            cgroup_version=str(info.get("CgroupVersion", "")),
            cpus=int(info.get("NCPU", 0)),
            memory_bytes=int(info.get("MemTotal", 0)),
            runtimes=tuple(sorted(info.get("Runtimes") or {})),
            security_options=tuple(info.get("SecurityOptions") or ()),
            root_dir=str(info.get("DockerRootDir", "")),
            warnings=tuple(info.get("Warnings") or ()),
            parts=tuple(engine_part(raw) for raw in version.get("Components") or ()),
            operating_system=str(info.get("OperatingSystem") or ""),
            runtime_commands=runtime_commands(info.get("Runtimes") or {}),
            backing=next((str(row[1]) for row in info.get("DriverStatus") or () if row[0] == "Backing Filesystem"), ""),
        )

    async def image(self, reference: str) -> ImageInfo | None:
        """The local image of that name, or None."""
        if not is_reference(reference):
            return None
        try:
            raw = await self._missing_is_none(lambda client: client.inspect_image(reference))  # type: ignore[no-untyped-call]
        except EngineRejected as error:
            if error.status != 400:
                raise
            return None  # no name that this engine knows; pulling says so in its own words
        if raw is None or not is_named(reference, (*(raw.get("RepoTags") or ()), *(raw.get("RepoDigests") or ()))):
            return None
        return image_info(raw)

    async def local_images(self) -> tuple[ImageInfo, ...]:
        """All local images, those without a name among them."""
        return tuple(image_info(raw) for raw in await self._call(lambda client: client.images()))

    async def images_in_use(self) -> frozenset[str]:
        """Ids and names of the images of all containers, in any state and whoever made them."""
        rows = await self._call(lambda client: client.containers(all=True))
        return frozenset(str(row.get(key) or "") for row in rows for key in ("ImageID", "Image")) - {""}

    async def remove_image(self, name: str) -> bool:
        """Take one name from an image, never by force; False where the engine keeps it."""
        try:
            with marked(Mark.ENGINE_REMOVE_IMAGE):
                await self._missing_is_none(lambda client: client.remove_image(name, force=False))
        except EngineRejected as error:
            if error.status == 409:
                return False
            raise
        return True

    async def pull(
        self, reference: str, on_progress: Callable[[PullProgress], None], login: DockerLogin | None = None
    ) -> ImageInfo:
        """Fetch an image from its registry; raises ImagePullFailed, which tells nothing of the login."""
        with marked(Mark.ENGINE_PULL):
            await pull_image(self._transport, self._prefix, reference, on_progress, login)
        image = await self.image(reference)
        if image is None:
            raise EngineRejected(
                f"the engine pulled {reference} but does not have it", status=404, hint="pull it by hand to see why"
            )
        return image

    async def ensure_network(self, name: str, labels: Mapping[str, str], egress: Egress = Egress.OPEN) -> None:
        """Make the bridge network unless it is there."""
        request = network_request(name, dict(labels), egress)
        try:
            with marked(Mark.ENGINE_NETWORK):
                await self._call(
                    lambda client: with_addresses(partial(client.create_network, **request), client.networks)
                )
        except EngineRejected as error:
            if error.status != 409 or "already exists" not in error.message:
                raise

    async def remove_network(self, name: str) -> bool:
        """Remove a network; False if containers are still attached. Missing counts as removed."""
        try:
            with marked(Mark.ENGINE_REMOVE_NETWORK):
                await self._missing_is_none(lambda client: client.remove_network(name))
        except EngineRejected as error:
            if error.status == 403 and "active endpoints" in error.message:
                return False
            raise
        return True

    async def networks(self, labels: Mapping[str, str]) -> tuple[NetworkView, ...]:
        """Networks that carry all these labels (an empty value matches any)."""
        filters = {"label": _label_filter(labels)}
        raw = await self._call(lambda client: client.networks(filters=filters))
        return tuple(network_view(row) for row in raw)

    async def volumes(self, labels: Mapping[str, str]) -> tuple[VolumeView, ...]:
        """Volumes that carry all these labels (an empty value matches any)."""
        filters = {"label": _label_filter(labels)}
        raw = await self._call(lambda client: client.volumes(filters=filters))
        return tuple(volume_view(row) for row in raw.get("Volumes") or ())

    async def ensure_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Make the volume unless it is there. One of that name without these labels is somebody else's: rejected."""
        if not is_volume_name(name):
            raise EngineRejected(f"{name!r} is no name for a volume", status=400)
        with marked(Mark.ENGINE_VOLUME):
            raw = await self._call(lambda client: client.create_volume(name, driver="local", labels=dict(labels)))
        # An engine answers with the one that is there, whoever made it and of whatever kind.
        if not labels.items() <= volume_view(raw).labels.items() or raw.get("Options"):
            raise EngineRejected(
                f"there is a volume {name} that is not this job's", status=409, hint="remove or rename it"
            )

    async def remove_volume(self, name: str) -> bool:
        """Remove a volume; False if a container has it. Missing counts as removed."""
        try:
            with marked(Mark.ENGINE_REMOVE_VOLUME):
                await self._missing_is_none(lambda client: client.remove_volume(name))
        except EngineRejected as error:
            if error.status == 409:
                return False
            raise
        return True

    async def create(self, spec: ContainerSpec) -> str:
        """Create a container under the isolation profile and return its id."""
        body = create_request(spec, await self._traits())
        with marked(Mark.ENGINE_CREATE):
            answer = await self._call(
                lambda client: client.create_container_from_config(body, spec.name)  # type: ignore[no-untyped-call]
            )
        return str(answer["Id"])

    async def start(self, container: str) -> None:
        """Start a created container; no error if it runs already."""
        with marked(Mark.ENGINE_START):
            await self._call(lambda client: client.start(container))

    async def remove(self, container: str) -> None:
        """Kill and remove a container with its anonymous volumes. Missing counts as removed."""
        try:
            with marked(Mark.ENGINE_REMOVE):
                await self._missing_is_none(lambda client: client.remove_container(container, v=True, force=True))
        except EngineRejected as error:
            if error.status != 409 or "already in progress" not in error.message:
                raise

    async def inspect(self, container: str) -> ContainerView | None:
        """A container by id or name, or None."""
        raw = await self._missing_is_none(lambda client: client.inspect_container(container))
        return None if raw is None else container_view(raw)

    async def find(self, labels: Mapping[str, str]) -> tuple[ContainerView, ...]:
        """Containers in any state that carry all these labels (an empty value matches any)."""
        filters = {"label": _label_filter(labels)}
        rows = await self._call(lambda client: client.containers(all=True, filters=filters))
        views = [await self.inspect(str(row["Id"])) for row in rows]
        return tuple(view for view in views if view is not None)

    # --- calls that stream or wait --------------------------------------------------------------------------

    async def stop(self, container: str, grace: float) -> None:
        """Ask it to end, and kill it after `grace` seconds; returns when it has ended. Missing counts as ended."""
        path = f"{self._prefix}/containers/{container}/stop"
        try:
            with marked(Mark.ENGINE_STOP):
                await self._transport.post(path, {"t": str(max(0, round(grace)))}, patience=grace + CALL_SECONDS)
        except EngineRejected as error:
            if error.status != 404:
                raise

    async def written(self, containers: Sequence[str], volumes: Sequence[str] = ()) -> int:
        """Bytes in the layers of these containers, their volumes and these, as the engine finds them by walking
        through; each volume once. Folders of the host are not among them."""
        total, names = 0, set[object](volumes)
        for container in containers:
            seen = await self._transport.get(f"{self._prefix}/containers/{container}/json", {"size": "1"})
            total += int(seen.get("SizeRw") or 0)
            names |= {mount.get("Name") for mount in seen.get("Mounts") or () if mount.get("Type") == "volume"}
        if not names:
            return total
        disk = await self._transport.get(f"{self._prefix}/system/df", {"type": "volume"})
        rows = [row.get("UsageData") or {} for row in disk.get("Volumes") or () if row.get("Name") in names]
        return total + sum(max(int(row.get("Size") or 0), 0) for row in rows)

    async def stats(self, container: str) -> ContainerStats | None:
        """What a running container uses, measured for about a second; None where it does not run."""
        try:
            raw = await self._transport.get(f"{self._prefix}/containers/{container}/stats", {"stream": "0"})
        except EngineRejected as error:
            if error.status not in (404, 409):
                raise
            return None
        found = container_stats(raw)
        if found is not None:
            return found
        view = await self.inspect(container)
        return await group_stats(int(view.state.get("Pid") or 0)) if view is not None and view.running else None

    async def wait(self, container: str) -> int:
        """Wait, without limit, until it does not run; its exit code."""
        path = f"{self._prefix}/containers/{container}/wait"
        answer = await self._transport.post(path, {"condition": "not-running"}, patience=None)
        code = answer.get("StatusCode")
        if not isinstance(code, int):
            raise EngineRejected("the engine's wait names no exit code", status=200, hint="is this a Docker engine?")
        return code

    async def logs(
        self, container: str, since: str | None = None, *, follow: bool = True
    ) -> AsyncIterator[Sequence[LogFrame]]:
        """Output from `since` on in batches; ends when the container has ended (or at once without `follow`)."""
        params = {"stdout": "1", "stderr": "1", "timestamps": "1", "follow": "1" if follow else "0"}
        if since is not None:
            params["since"] = unix_nanoseconds(since)
        decoder = FrameDecoder()
        path = f"{self._prefix}/containers/{container}/logs"
        quiet = None if follow else CALL_SECONDS
        async with self._transport.flood(path, params, quiet=quiet) as chunks:
            async for chunk in chunks:
                frames = decoder.feed(chunk)
                if frames:
                    yield frames

    async def events(self, labels: Mapping[str, str]) -> AsyncIterator[EngineEvent]:
        """Container events from now on; ends only by an error."""
        filters = _json({"type": ["container"], "label": _label_filter(labels)})
        async with self._transport.stream("GET", f"{self._prefix}/events", {"filters": filters}, quiet=None) as chunks:
            async for line in json_lines(chunks):
                actor = line.get("Actor") or {}
                yield EngineEvent(
                    id=str(actor.get("ID", "")),
                    action=str(line.get("Action", "")),
                    labels={str(k): str(v) for k, v in (actor.get("Attributes") or {}).items()},
                    time_ns=int(line.get("timeNano", 0)),
                )
        raise EngineUnavailable("the engine ended its stream of events", hint="see whether the engine was restarted")

    async def aclose(self) -> None:
        """Let go of connections and threads."""
        await self._transport.aclose()
        for client in self._clients:
            client.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _traits(self) -> EngineTraits:
        """Asked anew for each container: an engine may have been set up otherwise and started again."""
        info = await self.info()
        return await asyncio.get_running_loop().run_in_executor(self._pool, traits_of, info, self.socket)

    # --- threads and errors ---------------------------------------------------------------------------------

    async def _call(self, function: Callable[[docker.APIClient], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._blocking, function)

    async def _missing_is_none(self, function: Callable[[docker.APIClient], T]) -> T | None:
        try:
            return await self._call(function)
        except EngineRejected as error:
            if error.status != 404:
                raise
            return None

    def _blocking(self, function: Callable[[docker.APIClient], T]) -> T:
        try:
            return function(self._client())
        except docker.errors.APIError as error:
            raise _rejected(error) from error
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            raise unavailable(self.socket, error) from error

    def _client(self) -> docker.APIClient:
        client: docker.APIClient | None = getattr(self._local, "client", None)
        if client is None:
            client = docker.APIClient(base_url=f"unix://{self.socket}", version=API_VERSION, timeout=int(CALL_SECONDS))
            self._local.client = client
            self._clients.append(client)
        return client


def unix_nanoseconds(timestamp: str) -> str:
    """An RFC 3339 time as `seconds.nanoseconds` since 1970, the form the engine's `since` takes."""
    whole, _, tail = timestamp.partition(".")
    digits = "".join(char for char in tail[:9] if char.isdigit())
    zone = tail[len(digits) :] if tail else ""
    if not tail and whole.endswith("Z"):
        whole = whole[:-1]
    seconds = int(datetime.fromisoformat(whole + (zone.replace("Z", "+00:00") or "+00:00")).timestamp())
    return f"{seconds}.{digits.ljust(9, '0')}"


def _rejected(error: docker.errors.APIError) -> ContainerError:
    status = error.response.status_code if error.response is not None else 500
    message = str(error.explanation or error)
    return EngineRejected(message, status=status, hint=rejection_hint(status, message))


def _label_filter(labels: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" if value else key for key, value in labels.items()]


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
