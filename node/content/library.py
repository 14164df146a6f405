"""All stores and sources as one: the first source with matching bytes wins, every store is offered the file."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from node.content.cid import cid_to_hash32, file_cid
from node.content.source import GatewaySource, KuboSource, Source
from node.content.store import KuboStore, LocalStore, PinataStore, Store
from node.errors import (
    ContentError,
    ContentMismatch,
    ContentNotFile,
    ContentTooLarge,
    ContentUnavailable,
    SettingsError,
    StoreRejected,
)
from node.marks import Mark, marked
from node.records import Cid, FetchedDefinition
from node.retry import Clock, Retry
from node.settings import ContentSettings

FETCH_RETRY = Retry(attempts=4, total=40, first=1.0, longest=10.0)
"""Rounds over all sources. Fresh content takes seconds to spread between gateways."""
UPLOAD_RETRY = Retry(attempts=4, total=60, first=1.0, longest=15.0)
"""Uploads to one store that has trouble."""
STRAGGLER_SECONDS = 3.0
"""How long other stores may take once one has a file. The job's time runs, and is paid, until it is settled."""
UPLOAD_LIMIT = 64 << 20
"""Bytes of one file that are uploaded at most."""


class Library:
    """The stores and sources of one agent, and a local folder that keeps what was published."""

    def __init__(
        self,
        stores: Sequence[Store],
        sources: Sequence[Source],
        *,
        local: LocalStore | None = None,
        upload_limit: int = UPLOAD_LIMIT,
        clock: Clock | None = None,
    ) -> None:
        self._stores = _named(stores)
        self._sources = tuple(sources)
        self._local = local
        self._upload_limit = upload_limit
        self._clock = clock

    async def fetch(self, cid: Cid, limit: int) -> FetchedDefinition:
        """The bytes of a CID, proven to match it, and the source that had them.

        `limit` is in bytes. All sources are asked at once and, if none has them, again after a while. Raises
        ContentNotFile if one of them proves that it is no file, ContentMismatch if all that was served was wrong,
        ContentTooLarge if it was too much, else ContentUnavailable.
        """
        cid_to_hash32(cid)
        if self._local is not None:
            try:
                return FetchedDefinition(cid, await self._local.fetch(cid, limit), self._local.name)
            except (ContentUnavailable, ContentMismatch):
                pass
        if not self._sources:
            raise ContentUnavailable(
                f"{cid} is not here and no gateway is set", hint="Name one under content.gateways."
            )
        return await FETCH_RETRY.call(
            lambda: self._ask_all(cid, limit), on=(ContentUnavailable, ContentMismatch), clock=self._clock
        )

    async def publish(self, name: str, data: bytes) -> tuple[Cid, tuple[str, ...]]:
        """Upload a file; its CID and the names of the stores that took it, at least one.

        Once one has it, the others are waited for a short while only.
        A durable local copy comes first, so that an upload can be repeated after a restart. Raises
        ContentTooLarge, StoreRejected (all refused) or ContentUnavailable (worth trying again).
        """
        if len(data) > self._upload_limit:
            raise ContentTooLarge(
                f"{name} has {len(data):,} bytes, more than the {self._upload_limit:,} that are uploaded"
            )
        cid = await asyncio.to_thread(file_cid, data)
        if self._local is not None:
            await self._local.add_file(name, data)
        if not self._stores:
            raise StoreRejected("no store is set to upload to", hint="Name one under content.stores.")
        async with asyncio.TaskGroup() as group:
            offers = {group.create_task(self._offer(store, name, data)): taker for taker, store in self._stores.items()}
            pending = set(offers)
            while pending and not any(offer.done() and offer.result() is None for offer in offers):
                _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if pending:
                _, pending = await asyncio.wait(pending, timeout=STRAGGLER_SECONDS)
            for straggler in pending:
                straggler.cancel()
        ended = {offer: offer.result() for offer in offers if not offer.cancelled()}
        took = tuple(offers[offer] for offer, error in ended.items() if error is None)
        if took:
            return cid, took
        errors = [error for error in ended.values() if error is not None]
        raise next((e for e in errors if isinstance(e, ContentUnavailable)), errors[0])

    async def aclose(self) -> None:
        """Close all connections."""
        for store in self._stores.values():
            await store.aclose()
        for source in self._sources:
            await source.aclose()

    @property
    def store_names(self) -> tuple[str, ...]:
        """Every store, each by a name of its own."""
        return tuple(self._stores)

    async def offer(self, store: str, name: str, data: bytes) -> Cid:
        """One try to upload a file to one store, by its name here.

        Raises ContentTooLarge, StoreRejected (also where there is no such store) or ContentUnavailable.
        """
        if store not in self._stores:
            raise StoreRejected(f"{store} is no store of the settings", hint="Name it under content.stores.")
        if len(data) > self._upload_limit:
            raise ContentTooLarge(
                f"{name} has {len(data):,} bytes, more than the {self._upload_limit:,} that are uploaded"
            )
        cid = await asyncio.to_thread(file_cid, data)
        await _upload(self._stores[store], name, data)
        return cid

    async def _offer(self, store: Store, name: str, data: bytes) -> ContentError | None:
        try:
            await UPLOAD_RETRY.call(lambda: _upload(store, name, data), on=(ContentUnavailable,), clock=self._clock)
        except ContentError as error:
            return error
        return None

    async def _ask_all(self, cid: Cid, limit: int) -> FetchedDefinition:
        errors: list[ContentError] = []
        async with asyncio.TaskGroup() as group:
            pending = {group.create_task(self._ask(source, cid, limit)) for source in self._sources}
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    answer = task.result()
                    if isinstance(answer, FetchedDefinition):
                        for slower in pending:
                            slower.cancel()
                        return answer
                    errors.append(answer)
        raise _summary(cid, errors)

    async def _ask(self, source: Source, cid: Cid, limit: int) -> FetchedDefinition | ContentError:
        try:
            return FetchedDefinition(cid, await source.fetch(cid, limit), source.name)
        except ContentError as error:
            return error


def _named(stores: Sequence[Store]) -> dict[str, Store]:
    """Stores by name; of those with the same name the later get a number."""
    named: dict[str, Store] = {}
    for store in stores:
        count = sum(each.name == store.name for each in named.values())
        named[store.name if not count else f"{store.name} ({count + 1})"] = store
    return named


async def _upload(store: Store, name: str, data: bytes) -> None:
    with marked(Mark.CONTENT_UPLOAD):
        await store.add_file(name, data)


def _summary(cid: Cid, errors: Sequence[ContentError]) -> ContentError:
    # A source that is merely away says nothing of the content, so one that is away keeps the hope up.
    said = "; ".join(error.message for error in errors)
    for kind in (ContentNotFile, ContentUnavailable, ContentMismatch, ContentTooLarge):
        for error in errors:
            if isinstance(error, kind):
                return kind(f"no source has {cid}: {said}", hint=error.hint or "It is tried again later.")
    return ContentUnavailable(f"no source has {cid}: {said}")


def open_library(settings: ContentSettings, folder: Path | None, *, clock: Clock | None = None) -> Library:
    """The library that the settings describe; `folder` keeps local copies.

    An IPFS node named as a store is a source too. Raises SettingsError if a token file cannot be read.
    """
    stores: list[Store] = []
    sources: list[Source] = []
    for place in settings.stores:
        if place.kind == "kubo":
            token = read_token(place.jwt_file)
            stores.append(KuboStore(place.url, token=token, timeout=settings.timeout))
            sources.append(KuboSource(place.url, token=token, timeout=settings.timeout))
        else:
            token = read_token(place.jwt_file)
            if token is None:
                raise SettingsError("a pinata store needs jwt_file", hint="Name a file that holds the token.")
            stores.append(PinataStore(place.url, token, timeout=settings.timeout))
    sources += [GatewaySource(url, timeout=settings.timeout) for url in settings.gateways]
    local = LocalStore(folder) if folder is not None else None
    return Library(stores, sources, local=local, clock=clock)


def read_token(path: Path | None) -> str | None:
    """A store's bearer token, if a file is named. Raises SettingsError if it cannot be read."""
    if path is None:
        return None
    try:
        return path.expanduser().read_text("utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise SettingsError(
            f"the token file {path} cannot be read: {error}", hint="Check content.stores jwt_file."
        ) from None
