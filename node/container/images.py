"""Getting an image, with patience for what may pass and none for what will not."""

from __future__ import annotations

from collections.abc import Callable

from node.container.engine import Engine, ImageInfo, PullProgress
from node.errors import ImagePullFailed
from node.retry import Clock, Retry

PULL_RETRY = Retry(attempts=3, total=90.0, first=2.0)


async def pull_patiently(
    engine: Engine, reference: str, on_progress: Callable[[str], None], retry: Retry, clock: Clock
) -> ImageInfo:
    """Pull an image; registries that are down or busy are asked again. `on_progress` takes lines for people.

    Raises ImagePullFailed (at once when the registry says that there is no such image), EngineRejected or
    EngineUnavailable.
    """

    def show(progress: PullProgress) -> None:
        on_progress(progress_line(progress))

    async def once() -> ImageInfo:
        try:
            return await engine.pull(reference, show)
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
