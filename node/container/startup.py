"""From an operation without a container to one whose container has started."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from node.container import ending
from node.container.course import MAX_STARTS, Course
from node.container.egress.networks import JobNetworks
from node.container.engine import OPERATION_LABEL, ContainerView, Engine, ImageInfo
from node.container.images import Images
from node.container.nodes import refuse_nodes
from node.container.provision import provide
from node.errors import ContainerError, EngineRejected
from node.logins import DockerLogin
from node.records import OperationError, OperationStatus

Origin = Callable[[Sequence[str]], Awaitable[str]]
"""Says why images with these names may not be fetched; empty where they may."""

MAX_REFUSALS = 5
"""Refusals of one operation's requests, by an engine in trouble, before it is given up as failed."""


class Startup:
    """Makes and starts the containers of one operation."""

    def __init__(
        self,
        course: Course,
        engine: Engine,
        images: Images,
        networks: JobNetworks,
        origins: Origin,
        login: DockerLogin | None,
        on_progress: Callable[[str], None],
    ) -> None:
        self._course = course
        self._engine = engine
        self._images = images
        self._networks = networks
        self._origins = origins
        self._login = login
        self._on_progress = on_progress
        self._vanished = 0

    async def make(self) -> ContainerView | None:
        """A container that has not started; None where the operation has ended instead, or is to be looked at again.

        Raises EngineUnavailable, EngineRejected, OSError.
        """
        course = self._course
        if course.stop.cause is not None:
            await course.end_unbegun(course.stop.cause)
            return None
        if course.unwanted_starts >= MAX_STARTS:
            await course.give_up(f"The container was lost {course.unwanted_starts} times.")
            return None
        if course.is_fresh:
            await course.drop_log()
        state = course.state
        await course.record(
            replace(
                state,
                status=OperationStatus.RUNNING,
                started_ms=state.started_ms if state.started_ms is not None else course.now(),
                container_id=None,
            )
        )
        course.is_fresh = False
        image = await self._image()
        if image is None:
            return None
        pulled = course.now()
        container = await self._create()
        if container is not None:
            digest = image.digest_for(course.spec.image)
            course.state = replace(
                course.state,
                image_digest=digest,
                command_hash=ending.command_hash(container),
                pulled_ms=course.state.pulled_ms if course.state.pulled_ms is not None else pulled,
            )
        return container

    async def start(self, container: ContainerView) -> bool:
        """Start a new container; False where the operation has ended instead, or is to be looked at again."""
        course = self._course
        if course.stop.cause is not None:
            await course.record(ending.ended_with_container(course.state, container, course.stop.cause, course.now()))
            return False
        if course.unwanted_starts >= MAX_STARTS:
            await course.give_up(f"The container was started {course.unwanted_starts} times and did not come up.")
            return False
        await self._networks.clear_to_start()
        state = course.state
        began = state.began_ms if state.began_ms is not None else course.now()
        await course.record(replace(state, container_id=container.id, starts=state.starts + 1, began_ms=began))
        return await self._start(container)

    async def start_again(self, container: ContainerView) -> bool:
        """Start a container that has ended once more, as the operation's rule wants; False as in `start`."""
        course = self._course
        await self._networks.clear_to_start()
        state = course.state
        await course.record(replace(state, starts=state.starts + 1, restarts=state.restarts + 1))
        return await self._start(container)

    async def _image(self) -> ImageInfo | None:
        course = self._course
        # Looked at before the job was taken, too; but an image may have got its name only now, from another operation.
        trouble = await self._origins((course.spec.image,))
        if trouble:
            await course.end_by_error(OperationError("image-pull-error", trouble))
            return None
        outcome = await provide(self._images, course.spec.image, course.stop, self._on_progress, self._login)
        if isinstance(outcome, ContainerError):
            await course.end_by_error(ending.operation_error("image-pull-error", outcome))
            return None
        if outcome is None and course.stop.cause is not None:
            await course.end_unbegun(course.stop.cause)
        return outcome

    async def _create(self) -> ContainerView | None:
        course, spec = self._course, self._course.spec
        labels = {key: value for key, value in spec.labels if key != OPERATION_LABEL}
        event = "resource-error"
        try:
            await self._networks.make(spec, labels)
            for mount in spec.volumes:
                await self._engine.ensure_volume(mount.volume, labels)
            event = "container-runtime-error"
            container = await self._engine.create(spec)
        except EngineRejected as error:
            if self._vanished < MAX_REFUSALS and await self._engine.image(spec.image) is None:
                # Taken away since it was looked for, by whoever tidies up on this host: it is pulled again.
                self._vanished += 1
                return None
            await course.end_by_error(ending.operation_error(event, error))
            return None
        return await self._engine.inspect(container)

    async def _start(self, container: ContainerView) -> bool:
        try:
            await refuse_nodes(container, self._course.spec.runtime)
            await self._engine.start(container.id)
        except EngineRejected as error:
            if error.status != 404 or await self._engine.inspect(container.id) is not None:
                await self._end_unstarted(container, error)
            return False
        return True

    async def _end_unstarted(self, container: ContainerView, error: EngineRejected) -> None:
        course = self._course
        entry = ending.operation_error("container-runtime-error", error)
        state = replace(course.state, errors=(*course.state.errors, entry))
        view = await self._engine.inspect(container.id) or container
        # The engine leaves a container that it could not start "created", with the exit code in its state.
        view = replace(view, exit_code=int(view.state.get("ExitCode", 0)) or ending.NODE_SIDE_EXIT)
        await course.record(ending.ended_with_container(state, view, None, course.now()))
