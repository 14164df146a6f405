"""Where runs get their remote data: fetched once, shared by who may, held while used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from node.content.resources.copies import copy_folder
from node.content.resources.pins import Pin, Pins, require_run
from node.content.resources.process import Helper, running_helper
from node.content.resources.shelf import Shelf
from node.content.resources.wire import Event, Request, request_for
from node.errors import ResourceFailed
from node.logins import ResourceLogin
from node.plan_records import FolderMount, Resource
from node.public_network import Exempt, either, nothing_exempt
from node.records import Address
from node.settings_resources import ResourceSettings
from node.turns import Turns, waiting_line

T = TypeVar("T")
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class _Want:
    """One resource of an operation."""

    run: str
    slot: str
    """Operation and place among its resources."""
    request: Request
    writable: bool
    on_progress: Callable[[str], None]

    def tell(self, what: str) -> None:
        self.on_progress(f"resource {self.request.shown}: {what}")


async def nothing_kept_free() -> int:
    """For a disk that nobody else needs."""
    return 0


class _Turn:
    """Whose turn it is with a key, for as long as anybody waits."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


class ResourceDesk:
    """One per agent. Calls of several lanes may run at once."""

    def __init__(
        self,
        settings: ResourceSettings,
        root: Path,
        *,
        keep_free: Callable[[], Awaitable[int]] = nothing_kept_free,
        exempt: Exempt = nothing_exempt,
        denied: tuple[str, ...] = (),
        turns: Turns | None = None,
    ) -> None:
        """`root`: the folder where the data are kept; `keep_free`: tells how many bytes its disk must have left after
        a download; `exempt`: hosts that may be reached although they are not public, beside those of the settings;
        `denied`: public networks that may not; `turns`: who downloads when, None: whoever wants to."""
        allowed = frozenset(settings.private_hosts)
        self._settings = settings
        self._denied = denied
        self._exempt = either(exempt, lambda host, port: host in allowed or f"{host}:{port}" in allowed)
        self._keep_free = keep_free
        self._lines = turns or Turns(1 << 16)
        self._shelf = Shelf(root, budget=settings.cache_bytes)
        self._pins = Pins(root / "pins")
        self._books = asyncio.Lock()
        self._opened = False
        self._turns: dict[str, _Turn] = {}
        self._busy: list[str] = []
        """Runs that something is being prepared for, once per call."""

    async def prepare(
        self,
        run: str,
        job: Address,
        operation: int,
        resources: tuple[Resource, ...],
        logins: tuple[ResourceLogin | None, ...],
        on_progress: Callable[[str], None],
    ) -> tuple[FolderMount, ...]:
        """Have an operation's resources here; what to mount, in their order.

        `logins` go with the resources; missing ones are none. The data stay until `release(run)`. Called again for
        the same run and operation (after a restart), the answer is the same, without a look at the source. Cancelling
        it ends the download; what has come stays for the next try. Raises ResourceFailed.
        """
        del job
        require_run(run)
        mounts: list[FolderMount] = []
        self._busy.append(run)
        try:
            for place, resource in enumerate(resources):
                login = logins[place] if place < len(logins) else None
                request = request_for(resource, login, self._settings, self._denied)
                want = _Want(run, f"{operation}-{place}", request, resource.writable, on_progress)
                folder = await self._prepared(want)
                size = self._pins.of(run)[want.slot].size if resource.writable else 0
                mounts.append(FolderMount(str(folder), resource.target, resource.writable, size))
        finally:
            self._busy.remove(run)
        return tuple(mounts)

    async def release(self, run: str) -> None:
        """The run is over: its copies go, and what it used may go. Raises ResourceFailed."""
        require_run(run)
        await self._on_disk(partial(self._release, run))

    async def tidy(self, known_runs: Callable[[], Awaitable[Collection[str]]]) -> None:
        """Release every run but those that `known_runs` tells, and let go of what is over the budget.

        What is held is looked at before it is asked, so that a run which begins meanwhile loses nothing. Raises
        ResourceFailed, and what `known_runs` raises.
        """
        held = await self._on_disk(lambda: frozenset(self._pins.runs))
        over = held.difference(await known_runs())
        await self._on_disk(partial(self._tidy, over))

    async def give_way(self, wanted: int) -> None:
        """Let go of what no run uses until so many bytes are free, or all of it is gone. Raises ResourceFailed."""
        await self._on_disk(lambda: self._shelf.give_way(wanted, self._pins.keys))

    async def _prepared(self, want: _Want) -> Path:
        if (known := await self._on_disk(partial(self._known, want))) is not None:
            return known
        async with running_helper(self._exempt) as helper:
            want.tell("looking what there is")
            event = await helper.listing(want.request)
            key = self._shelf.key(want.request, event.fingerprint)
            async with self._turn(key, want):
                folder = await self._obtained(want, key, event, helper)
        return await self._copied(want, key) if want.writable else folder

    async def _obtained(self, want: _Want, key: str, event: Event, helper: Helper) -> Path:
        """The entry of a key, pinned for the run; downloaded if it is not here."""
        here = await self._on_disk(partial(self._pin, want, key, event.bytes_total))
        if here is not None:
            want.tell("is here already")
            return here
        try:
            free = await self._keep_free()
            staging = await self._on_disk(lambda: self._shelf.claim(key, event.bytes_total, self._pins.keys, free))
            async with self._lines.turn(lambda others: want.tell(waiting_line(others))):
                await helper.download(staging, lambda status: want.tell(_how_far(status)))
            return await self._on_disk(partial(self._keep, want, key))
        finally:
            # Before another one may write to the same folder.
            await helper.end()
            await self._on_disk(partial(self._shelf.unclaim, key))

    async def _copied(self, want: _Want, key: str) -> Path:
        """The run's own copy of an entry."""
        want.tell("making a copy for this job")
        name = f"{want.run}-{want.slot}"
        try:
            free = await self._keep_free()
            started = await self._on_disk(lambda: self._shelf.claim_copy(name, key, self._pins.keys, free))
            entry = await self._on_disk(partial(self._shelf.entry, key))
            assert entry is not None, "the run's pin holds it"
            await copy_folder(entry, started / "data")
            return await self._on_disk(partial(self._keep_copy, want, name, key))
        finally:
            await self._on_disk(partial(self._shelf.unclaim_copy, name))

    def _known(self, want: _Want) -> Path | None:
        """What the run was given before."""
        pin = self._pins.of(want.run).get(want.slot)
        if pin is None or pin.request != self._shelf.question(want.request):
            return None
        if want.writable:
            return self._shelf.copy(pin.copy) if pin.copy else None
        return self._shelf.entry(pin.key)

    def _pin(self, want: _Want, key: str, announced: int) -> Path | None:
        """The entry, pinned; None if it is not here. Raises ResourceFailed if the run has had too much."""
        entry = self._shelf.entry(key)
        pins = self._pins.of(want.run)
        others = {pin.copy or pin.key: pin.size for slot, pin in pins.items() if slot != want.slot}
        size = announced if entry is None else self._shelf.size(key)
        if key not in others and sum(others.values()) + size > self._settings.job_bytes:
            raise ResourceFailed(
                f"this job's remote data come to more than {self._settings.job_bytes:,} bytes",
                hint="Ask for fewer files; the host's bound is resources.job.",
            )
        if entry is not None:
            self._hold(want, key)
        return entry

    def _keep(self, want: _Want, key: str) -> Path:
        entry = self._shelf.keep(key)
        self._hold(want, key)
        return entry

    def _keep_copy(self, want: _Want, name: str, key: str) -> Path:
        folder = self._shelf.keep_copy(name, key)
        self._hold(want, key, name)
        return folder

    def _hold(self, want: _Want, key: str, copy: str = "") -> None:
        pin = Pin(key, self._shelf.question(want.request), self._shelf.size(key), copy)
        self._pins.put(want.run, want.slot, pin)

    def _release(self, run: str) -> None:
        copies = [pin.copy for pin in self._pins.of(run).values() if pin.copy]
        # The copies first: as long as the pins are there, a restart knows what is still to go.
        for name in copies:
            self._shelf.drop_copy(name)
        self._pins.drop(run)

    def _tidy(self, over: frozenset[str]) -> None:
        for run in over.difference(self._busy):
            self._release(run)
        # Copies whose pin was not written any more.
        for name in self._shelf.copies() - self._pins.copies:
            self._shelf.drop_copy(name)
        self._shelf.trim(self._pins.keys)

    @asynccontextmanager
    async def _turn(self, key: str, want: _Want) -> AsyncIterator[None]:
        """One at a time: who waits finds the data there, or goes on with the download of one who gave up."""
        turn = self._turns.setdefault(key, _Turn())
        turn.users += 1
        try:
            if turn.lock.locked():
                want.tell("another job is fetching the same")
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                self._turns.pop(key, None)

    async def _on_disk(self, work: Callable[[], T]) -> T:
        """Do something with shelf and pins, in a thread and alone. Raises ResourceFailed."""
        async with self._books:
            doing = asyncio.get_running_loop().run_in_executor(None, self._opened_first, work)
            try:
                return await asyncio.shield(doing)
            except asyncio.CancelledError:
                # A thread cannot be stopped: nobody else may come in before it is through.
                await asyncio.wait([doing])
                raise
            except OSError as error:
                raise ResourceFailed(
                    f"remote data cannot be kept: {error.strerror or error}",
                    hint="Check resources.folder and its disk.",
                ) from None

    def _opened_first(self, work: Callable[[], T]) -> T:
        if not self._opened:
            self._shelf.open()
            self._pins.load()
            self._opened = True
        return work()


def _how_far(event: Event) -> str:
    """The status as people read it."""
    unit, name = (MB, "MB") if event.bytes_total >= MB else (1000, "kB")
    return (
        f"{round(event.bytes_current / unit)} of {round(event.bytes_total / unit)} {name}, "
        f"{event.files_current} of {event.files_total} files"
    )
