"""Getting an image, with patience for what may pass and none for what will not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from node.container.engine import Engine, ImageInfo, PullProgress
from node.errors import ImagePullFailed
from node.logins import DockerLogin
from node.retry import Clock, Retry

PULL_RETRY = Retry(attempts=3, total=90.0, first=2.0)


class Images(Protocol):
    """Where the runner gets its images."""

    async def present(self, reference: str) -> ImageInfo | None:
        """The image, if the host has it and any job may; it is a job's from then on."""
        ...

    async def pull(
        self, reference: str, on_progress: Callable[[str], None], login: DockerLogin | None = None
    ) -> ImageInfo:
        """The image from its registry. With a login the registry is asked even for an image that is here. Errors as in
        `pull_patiently`."""
        ...

    async def release(self, reference: str) -> None:
        """An operation that pulled the image with a login is over: it goes, if that brought it here. Raises
        EngineUnavailable or EngineRejected."""
        ...


class PlainImages:
    """Images as the engine has them, with no book kept."""

    def __init__(self, engine: Engine, retry: Retry, clock: Clock) -> None:
        self._engine = engine
        self._retry = retry
        self._clock = clock
        self._borrowed: dict[str, str] = {}

    async def present(self, reference: str) -> ImageInfo | None:
        """The image, if the host has it and no login brought it."""
        image = await self._engine.image(reference)
        return None if image is not None and image.id in self._borrowed.values() else image

    async def pull(
        self, reference: str, on_progress: Callable[[str], None], login: DockerLogin | None = None
    ) -> ImageInfo:
        """The image from its registry. Errors as in `pull_patiently`."""
        is_new = await self._engine.image(reference) is None
        image = await pull_patiently(self._engine, reference, on_progress, self._retry, self._clock, login)
        if login is not None and is_new:
            self._borrowed[reference] = image.id
        return image

    async def release(self, reference: str) -> None:
        """Remove an image that a login brought here."""
        if reference in self._borrowed and await self._engine.remove_image(reference):
            del self._borrowed[reference]


async def pull_patiently(
    engine: Engine,
    reference: str,
    on_progress: Callable[[str], None],
    retry: Retry,
    clock: Clock,
    login: DockerLogin | None = None,
) -> ImageInfo:
    """Pull an image; registries that are down or busy are asked again. `on_progress` takes lines for people.

    Raises ImagePullFailed (at once when the registry says that there is no such image), EngineRejected or
    EngineUnavailable.
    """

    def show(progress: PullProgress) -> None:
        on_progress(progress_line(progress))

    async def once() -> ImageInfo:
        try:
            return await engine.pull(reference, show, login)
        except ImagePullFailed as error:
            if _may_pass(error):
                raise _PullAgain(error) from error
            raise

    try:
        return await retry.call(once, on=(_PullAgain,), clock=clock)
    except _PullAgain as again:
        raise again.error from None


def progress_line(progress: PullProgress) -> str:
    """One line for people."""
    size = f"{progress.bytes_done / 1e6:.0f} of {progress.bytes_total / 1e6:.0f} MB"
    return f"pulling {progress.image}: {progress.layers_done} of {progress.layers_total} layers, {size}"


def _may_pass(error: ImagePullFailed) -> bool:
    return error.status is None or error.status >= 500 or error.status == 429


class _PullAgain(Exception):
    """A pull that failed for a reason that may pass."""

    def __init__(self, error: ImagePullFailed) -> None:
        super().__init__(error.message)
        self.error = error
