"""The images that the agent pulled: kept while there is room for them, the longest unused removed first.

Only images that the host did not have before are ours. Whether one may go is asked of the engine each time: never
while a container of anybody has it (in any state), while an open job wants it, or once the host gave it a name of its
own. A pull is written down before it begins, so that what it left behind when it was cut off is known as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol

from node.container.disk import EngineDisk
from node.container.engine import Engine, ImageInfo
from node.container.images import PULL_RETRY, pull_patiently
from node.container.reference import familiar, is_named, split_reference
from node.errors import EngineRejected, ImagePullFailed
from node.logins import DockerLogin
from node.records import PulledImage
from node.retry import Clock, Retry, SystemClock
from node.turns import Turns, waiting_line

LARGEST = 100 * 1024**3
"""Bytes of the cache where no setting says otherwise, on a disk of at least twice that."""

log = logging.getLogger(__name__)

Wanted = Callable[[], Awaitable[frozenset[str]]]
"""Names of the images that open jobs run or are about to run."""


class ImageBook(Protocol):
    """What must survive. Each method is durable when it returns."""

    async def all(self) -> tuple[PulledImage, ...]:
        """Every image, the one that was not asked for the longest first."""
        ...

    async def begin(self, reference: str, before: Iterable[str], *, private: bool = False) -> None:
        """A pull is about to begin, with a job's login if `private`; the ids of what the host has."""
        ...

    async def pulled(self, reference: str, id_: str, size: int) -> None:
        """What the pull brought."""
        ...

    async def used(self, reference: str) -> None:
        """A job asks for the image now."""
        ...

    async def forget(self, reference: str) -> None:
        """The image is gone, or not ours."""
        ...


class Registries(Protocol):
    """Knows who may have an image."""

    async def may_pull(self, reference: str, login: DockerLogin | None) -> bool | None:
        """Whether the registry gives the image to who logs in so (None: to anybody); None: it does not tell."""
        ...


class ImageCache:
    """One per engine, shared by all lanes."""

    def __init__(
        self,
        engine: Engine,
        book: ImageBook,
        wanted: Wanted,
        disk: EngineDisk,
        *,
        budget: int | None = None,
        retry: Retry = PULL_RETRY,
        clock: Clock | None = None,
        registries: Registries | None = None,
        turns: Turns | None = None,
    ) -> None:
        """`budget`: bytes; None: half of the engine's disk, at most 100 GiB. `registries` say who may have an image
        that is here already and is not everybody's; without them nobody may. `turns`: who pulls when;
        None: whoever wants to."""
        self._engine = engine
        self._book = book
        self._wanted = wanted
        self._disk = disk
        self._budget = budget
        self._retry = retry
        self._clock = clock or SystemClock()
        self._registries = registries
        self._turns = turns
        self._pulls: dict[str, asyncio.Lock] = {}
        # Looking at an image and removing one exclude each other: what a job has been told to be there stays.
        self._hands = asyncio.Lock()

    async def present(self, reference: str) -> ImageInfo | None:
        """The image, if the host has it and any job may; the caller's job is open, so it stays until that is over."""
        async with self._hands:
            image = await self._engine.image(reference)
            rows = await self._book.all()
            if image is None or is_private(image, rows):
                return None
            for row in rows:
                if row.id == image.id:
                    await self._book.used(row.reference)
            return image

    async def pull(
        self, reference: str, on_progress: Callable[[str], None], login: DockerLogin | None = None
    ) -> ImageInfo:
        """The image from its registry, once for all lanes that want it now. Errors as in `pull_patiently`.

        With a login the registry is asked in any case, and what comes is that login's alone.
        """
        async with self._pulls.setdefault(reference, asyncio.Lock()):
            image = await self.present(reference) if login is None else None
            if image is not None:
                return image
            if await self._engine.image(reference) is not None:
                # An engine that has all of an image may not ask the registry once more.
                await self._check_right(reference, login)
            try:
                await self.tidy()
            except (EngineRejected, OSError) as error:
                log.warning("images are not tidied before a pull: %s", error)  # no reason to fail the job
            rows = await self._book.all()
            before = {image.id for image in await self._engine.local_images()} - {row.id for row in rows}
            public = {row.id: row for row in rows if row.id and not row.private}
            await self._book.begin(reference, before, private=login is not None)
            async with _turn(self._turns, lambda others: on_progress(waiting_line(others))):
                image = await pull_patiently(self._engine, reference, on_progress, self._retry, self._clock, login)
            known = public.get(image.id)
            if known is not None and known.reference == reference:
                await self._book.begin(reference, before)  # it came without a login before: it is everybody's
            await self._book_in(reference, image, before)
            return image

    async def release(self, reference: str) -> None:
        """An operation that pulled the image with a login is over: it goes, unless another container has it. Raises
        EngineUnavailable or EngineRejected."""
        async with self._hands:
            if reference not in self._busy():
                await self._settle_pull(reference)
                await self._remove_private(frozenset(), reference)

    async def tidy(self) -> tuple[str, ...]:
        """Finish what cut-off pulls left, and bring the cache within its budget; the names of what was removed.

        Raises EngineUnavailable or EngineRejected when the engine cannot be asked.
        """
        async with self._hands:
            self._pulls = {reference: lock for reference, lock in self._pulls.items() if lock.locked()}
            await self._settle_pulls()
            gone = await self._remove_private(await self._wanted())
            budget = self._budget
            if budget is None:
                budget = min(LARGEST, (await self._disk.usage()).total // 2)
            held = await self._held()
            over = sum(group[0].size_bytes for group in held.values()) - budget
            return (*gone, *await self._remove(held, over, frozenset()))

    async def make_room(self, size: int, keep: frozenset[str]) -> tuple[str, ...]:
        """Remove unused images until about `size` bytes are free that were not, or none is left; never one named in
        `keep`. Layers that other images share stay, so less may come free. Errors as in `tidy`."""
        async with self._hands:
            await self._settle_pulls()
            return await self._remove(await self._held(), size, keep)

    async def _held(self) -> dict[str, tuple[PulledImage, ...]]:
        """What is in the cache, by id, the longest unused first."""
        rows = [row for row in await self._book.all() if row.id]
        local = {image.id for image in await self._engine.local_images()}
        for row in rows:
            if row.id not in local:
                await self._book.forget(row.reference)
        groups: dict[str, tuple[PulledImage, ...]] = {}
        for row in reversed(rows):
            if row.id in local:
                groups[row.id] = (*groups.get(row.id, ()), row)
        return dict(reversed(groups.items()))

    async def _remove(
        self, held: Mapping[str, Sequence[PulledImage]], size: int, keep: frozenset[str]
    ) -> tuple[str, ...]:
        gone: list[str] = []
        if size <= 0:
            return ()
        wanted = await self._wanted() | keep | self._busy() | await self._engine.images_in_use()
        local = {image.id: image for image in await self._engine.local_images()}
        for id_, rows in held.items():
            if size <= 0:
                break
            names = tuple(row.reference for row in rows)
            if id_ not in local or not _is_free(local[id_], names, wanted):
                continue
            if await self._remove_one(local[id_]):
                size -= rows[0].size_bytes
                for name in names:
                    await self._book.forget(name)
                gone += names
        return tuple(gone)

    async def _remove_one(self, image: ImageInfo) -> bool:
        # By its id where it has one name at most. Each of several names goes by itself: if the host gives the image
        # another one meanwhile, it loses ours and stays.
        try:
            removed = [await self._engine.remove_image(name) for name in _handles(image)]
        except EngineRejected as error:
            log.warning("image %s cannot be removed: %s", image.id, error)
            return False
        if all(removed):
            log.info("removed image %s (%s), which no job wanted", image.id[:19], ", ".join(image.tags) or "no tag")
        return all(removed)

    async def _remove_private(self, wanted: frozenset[str], only: str | None = None) -> tuple[str, ...]:
        """Remove what logins brought and no container has; of `wanted` nothing."""
        rows = [row for row in await self._book.all() if row.private and row.id and only in (None, row.reference)]
        rows = [row for row in rows if row.reference not in self._busy() and not is_named(row.reference, wanted)]
        if not rows:
            return ()
        in_use = await self._engine.images_in_use()
        local = {image.id: image for image in await self._engine.local_images()}
        gone = []
        for row in rows:
            image = local.get(row.id)
            if image is not None and (row.id in in_use or is_named(row.reference, in_use)):
                continue
            if image is None or await self._remove_name(image, row.reference):
                await self._book.forget(row.reference)
                gone.append(row.reference)
        return tuple(gone)

    async def _remove_name(self, image: ImageInfo, reference: str) -> bool:
        """Take our name from an image; without another one it goes."""
        if all(is_named(tag, (reference,)) for tag in image.tags):
            return await self._remove_one(image)
        return not is_named(reference, image.tags) or await self._engine.remove_image(reference)

    async def _settle_pulls(self) -> None:
        for row in await self._book.all():
            if row.reference not in self._busy():
                await self._settle_pull(row.reference)

    async def _settle_pull(self, reference: str) -> None:
        """Find out what a pull that was cut off has left."""
        row = next((row for row in await self._book.all() if row.reference == reference and not row.id), None)
        if row is None:
            return
        image = await self._engine.image(reference)
        if image is None:
            await self._book.forget(reference)
        else:
            await self._book_in(reference, image, row.before)

    async def _check_right(self, reference: str, login: DockerLogin | None) -> None:
        """Raises ImagePullFailed where the registry does not give the image to who asks."""

        async def once() -> bool:
            answer = None if self._registries is None else await self._registries.may_pull(reference, login)
            if answer is None:
                raise _NotTold
            return answer

        try:
            if await self._retry.call(once, on=(_NotTold,), clock=self._clock):
                return
            reason, status = "the registry does not give it to this job", 401
        except _NotTold:
            reason, status = "its registry does not tell whether this job may have it", None
        raise ImagePullFailed(
            f"image {reference} cannot be pulled: {reason}",
            status=status,
            hint="check the login that the job gives, or make the image public",
        )

    async def _book_in(self, reference: str, image: ImageInfo, before: Iterable[str]) -> None:
        if image.id in before:
            await self._book.forget(reference)  # the host had it, under another name
        else:
            await self._book.pulled(reference, image.id, image.size_bytes)

    def _busy(self) -> frozenset[str]:
        return frozenset(reference for reference, lock in self._pulls.items() if lock.locked())


def _turn(turns: Turns | None, on_wait: Callable[[int], None]) -> AbstractAsyncContextManager[None]:
    return nullcontext() if turns is None else turns.turn(on_wait)


class _NotTold(Exception):
    """A registry did not tell."""


def is_private(image: ImageInfo, rows: Iterable[PulledImage]) -> bool:
    """Whether a login brought this image, or may just be bringing it."""
    for row in rows:
        if row.private and row.id == image.id:
            return True
        pulled = row.private and not row.id and image.id not in row.before
        if pulled and is_named(row.reference, (*image.tags, *image.repo_digests)):
            return True
    return False


def _handles(image: ImageInfo) -> tuple[str, ...]:
    return image.tags if len(image.tags) > 1 else (image.id,)


def _is_free(image: ImageInfo, ours: Sequence[str], wanted: frozenset[str]) -> bool:
    """Whether the host has no name of its own for the image, and nobody wants it; `wanted`: names, and ids."""
    names = (*ours, *image.tags, *image.repo_digests)
    if image.id in wanted or any(is_named(name, names) for name in wanted):
        return False
    if any(not is_named(tag, ours) for tag in image.tags):
        return False
    repositories = {familiar(split_reference(name)[0]) for name in ours}
    return all(familiar(entry.partition("@")[0]) in repositories for entry in image.repo_digests)
