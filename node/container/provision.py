"""Getting an operation its image, unless it is told to stop first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from node.container.engine import ImageInfo
from node.container.images import Images
from node.container.stop import StopWord
from node.errors import ContainerError, EngineUnavailable
from node.logins import DockerLogin


async def provide(
    images: Images,
    reference: str,
    stop: StopWord,
    on_progress: Callable[[str], None],
    login: DockerLogin | None = None,
) -> ImageInfo | ContainerError | None:
    """The image, pulled if need be; or why it cannot be had; or None when the word to stop came first.

    Raises EngineUnavailable, and EngineRejected when the engine cannot be asked what it has.
    """
    # With a login it is for the registry to say who may have the image, each time.
    image = await images.present(reference) if login is None else None
    if image is not None:
        return image
    async with asyncio.TaskGroup() as group:
        pulling = group.create_task(_pull(images, reference, on_progress, login))
        stopping = group.create_task(stop.wait())
        await asyncio.wait((pulling, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        pulling.cancel()
    outcome = None if pulling.cancelled() else pulling.result()
    if isinstance(outcome, EngineUnavailable):
        raise outcome
    return outcome


async def _pull(
    images: Images, reference: str, on_progress: Callable[[str], None], login: DockerLogin | None
) -> ImageInfo | ContainerError:
    try:
        return await images.pull(reference, on_progress, login)
    except ContainerError as error:
        return error
