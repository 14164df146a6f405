"""S3: lists what is below an address, and signs requests where there is a login.

An address of plain http with named files needs no list, so that any web server will do for those, as the network's own
nodes allow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx

from node.content.resources.checksums import strong
from node.content.resources.listing import RemoteFile, shown_name
from node.content.resources.page import ListedObject, NotListed, Page, parse_page
from node.content.resources.places import DEFAULT_REGION, Place, places_of
from node.content.resources.signature import signed
from node.content.resources.web import Call, Interrupted, Refused, Web, first_of, shown, span_of
from node.content.resources.wire import Address, Request
from node.errors import ResourceFailed
from node.retry import Retry

PAGE_BYTES = 8 << 20
PAGE_SECONDS = 120.0
MOST_PAGES = 2000
PROBES_AT_ONCE = 8
_CLOSED = (401, 403)
LISTING = Retry(attempts=5, total=120, first=0.5, longest=15.0)


class S3Source:
    """The S3 data of one resource."""

    def __init__(self, web: Web, request: Request) -> None:
        self._web = web
        self._request = request
        self._login = request.login
        self._regions: dict[str, str] = {}

    def prepare(self, url: str, headers: Mapping[str, str]) -> Call:
        """A request to a store, signed where there is a login."""
        wanted = {**headers, "x-amz-checksum-mode": "ENABLED"}
        if not self._login.access_key:
            return Call(url, wanted)
        return signed(url, wanted, self._login, self._regions.get(urlsplit(url).netloc) or DEFAULT_REGION)

    async def files(self) -> list[RemoteFile]:
        """All files of all addresses, in their order. Raises ResourceFailed or Interrupted."""
        if not self._request.addresses:
            raise ResourceFailed("neither url nor buckets is given", hint="Give one of them.")
        return [file for address in self._request.addresses for file in await self._of(address)]

    async def _of(self, address: Address) -> list[RemoteFile]:
        places = places_of(
            address.url,
            server=self._request.server,
            region=self._login.region,
            bucket=self._request.bucket,
        )
        if not address.files:
            return await self._listed(places, "")
        found: list[RemoteFile] = []
        for name in (name.lstrip("/") for name in address.files if name.endswith("/")):
            found += await self._listed(places, name)
        slots = asyncio.Semaphore(PROBES_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                probes = [
                    group.create_task(self._probed(places[0], name.lstrip("/"), slots))
                    for name in address.files
                    if not name.endswith("/")
                ]
        except BaseExceptionGroup as failed:
            raise first_of(failed) from None
        return found + [probe.result() for probe in probes]

    async def _listed(self, places: tuple[Place, ...], below: str) -> list[RemoteFile]:
        trouble: ResourceFailed | None = None
        for place in places:
            try:
                return await self._pages(place, below)
            except (NotListed, Refused) as refused:
                # The word of the likeliest reading counts, unless another one says that there is something, but closed.
                if trouble is None or (refused.status in _CLOSED and trouble.status not in _CLOSED):
                    trouble = refused
        assert trouble is not None
        raise trouble

    async def _pages(self, place: Place, below: str) -> list[RemoteFile]:
        base = f"{place.prefix}/" if place.prefix else ""
        found: list[RemoteFile] = []
        token, seen = "", set[str]()
        for _ in range(MOST_PAGES):
            page, place = await self._page(
                place, place.prefix + ("/" + below if place.prefix and below else below), token
            )
            found += [file for each in page.objects if (file := _file(place, base, below, each)) is not None]
            if len(found) > self._request.bounds.files:
                raise ResourceFailed(
                    f"more than {self._request.bounds.files:,} files",
                    hint="Name the files wanted, or raise resources.files.",
                )
            token = page.token
            if not token:
                return found
            if token in seen:
                break
            seen.add(token)
        raise ResourceFailed(f"{shown(place.root)} never ends its list")

    async def _page(self, place: Place, prefix: str, token: str) -> tuple[Page, Place]:
        for _ in range(2):
            url = place.list_url(prefix, token)
            self._regions[urlsplit(url).netloc] = place.region
            try:
                body, _ = await LISTING.call(
                    lambda url=url: self._web.read(  # type: ignore[misc]
                        url, limit=PAGE_BYTES, seconds=PAGE_SECONDS, prepare=self.prepare
                    ),
                    on=(Interrupted,),
                )
                return parse_page(body, url), place
            except Refused as refused:
                elsewhere = place.in_region(refused.headers.get("x-amz-bucket-region", ""))
                if elsewhere is None:
                    raise
                place = elsewhere
        raise ResourceFailed(f"{shown(place.root)} sends from region to region")

    async def _probed(self, place: Place, name: str, slots: asyncio.Semaphore) -> RemoteFile:
        """What is known of one file by asking for its first byte: any login opens this, not every one a list."""
        async with slots:
            for _ in range(2):
                url = place.object_url(f"{place.prefix}/{name}" if place.prefix else name)
                self._regions[urlsplit(url).netloc] = place.region
                try:
                    return await LISTING.call(
                        lambda url=url: self._first_byte(url, name),  # type: ignore[misc]
                        on=(Interrupted,),
                    )
                except Refused as refused:
                    elsewhere = place.in_region(refused.headers.get("x-amz-bucket-region", ""))
                    if elsewhere is None:
                        raise ResourceFailed(
                            f"{shown_name(name)}: {refused.message}", status=refused.status, hint=refused.hint
                        ) from None
                    place = elsewhere
        raise ResourceFailed(f"{shown(place.root)} sends from region to region")

    async def _first_byte(self, url: str, name: str) -> RemoteFile:
        try:
            return await self._answered(url, name, {"range": "bytes=0-0"})
        except Refused as refused:
            if refused.status != 416:
                raise
            # An empty file has no first byte.
            return await self._answered(url, name, {})

    async def _answered(self, url: str, name: str, headers: Mapping[str, str]) -> RemoteFile:
        try:
            async with (
                asyncio.timeout(PAGE_SECONDS),
                self._web.stream(url, headers, prepare=self.prepare) as response,
            ):
                return _as_answered(response, url, name)
        except TimeoutError:
            raise Interrupted(f"{shown(url)} did not answer within {PAGE_SECONDS:g} s") from None


def _as_answered(response: httpx.Response, url: str, name: str) -> RemoteFile:
    headers = response.headers
    if (span := span_of(response)) is not None:
        size = span.total
    else:
        length = headers.get("content-length", "")
        size = int(length) if length.isdecimal() and len(length) < 19 else None
    tag = headers.get("etag", "")
    moved = len(response.extensions["hops"]) > 1
    return RemoteFile(
        name,
        url,
        size,
        etag="" if moved else strong(tag),
        etag_is_md5=not moved and any(key.startswith("x-amz-") for key in headers),
        known_by=tag or headers.get("last-modified", ""),
    )


def _file(place: Place, base: str, below: str, found: ListedObject) -> RemoteFile | None:
    """The object as a file below the address; None for a folder's mark and for what only begins alike."""
    if found.key.endswith("/"):
        return None
    if found.key == place.prefix and not below:
        name = found.key.rpartition("/")[2]
    elif found.key.startswith(base + below):
        name = found.key.removeprefix(base)
    else:
        return None
    return RemoteFile(
        name,
        place.object_url(found.key),
        found.size,
        etag=strong(found.etag),
        etag_is_md5=True,
        known_by=found.etag or found.modified,
    )
