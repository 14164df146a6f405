"""HTTP of the download helper: public hosts only, redirects one by one, bodies bounded.

httpx and not the sources' own client libraries does the transfers. Those libraries resolve names and follow redirects
by themselves (a job could point this host at its own network), and none checks what it has got: huggingface_hub
compares sizes, boto3 no ETag. Of Amazon's library we take what is easy to get wrong by hand: the signature.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from node.bounded_json import JsonRefused, read_json
from node.errors import ResourceFailed
from node.public_network import AddressRefused, PublicTransport, Resolve, system_addresses

MAX_REDIRECTS = 5
CONNECT_SECONDS = 20.0
MOST_QUESTIONS = 64
"""Hosts that one resource may ask about."""
MOST_LEFT_ALONE = 300
"""Seconds for which a server's wish to be left alone is heeded."""
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_BUSY = frozenset((408, 425, 429, 500, 502, 503, 504))

May = Callable[[str, int], Awaitable[bool]]
"""Whether a host and port may be reached although they are not public."""
Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Call:
    """One request: where, and with what headers."""

    url: str
    headers: Headers


Prepare = Callable[[str, Headers], Call]
"""Makes the request for a URL of the source itself, login and signature included. Not used for other hosts."""


class Interrupted(Exception):
    """The exchange broke off, or the server has trouble: worth another try. `status` where there was an answer;
    `after`: seconds for which it asks to be left alone."""

    def __init__(self, message: str, status: int | None = None, after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.after = after


class Refused(ResourceFailed):
    """The server answered with a status that another try will not change; `headers` and `said` are its own."""

    def __init__(self, message: str, *, status: int, headers: httpx.Headers, said: bytes = b"", hint: str = "") -> None:
        super().__init__(message, status=status, hint=hint)
        self.headers = headers
        self.said = said


def as_is(url: str, headers: Headers) -> Call:
    """A request without a login."""
    return Call(url, headers)


class Web:
    """The HTTP client of one helper process."""

    def __init__(self, *, patience: float, may: May, resolve: Resolve = system_addresses) -> None:
        self._may = may
        self._allowed: set[tuple[str, int]] = set()
        self._asked: set[tuple[str, int]] = set()
        self._asking = asyncio.Lock()
        self._client = httpx.AsyncClient(
            transport=PublicTransport(resolve=resolve, exempt=lambda host, port: (host, port) in self._allowed),
            trust_env=False,
            timeout=httpx.Timeout(patience, connect=CONNECT_SECONDS, pool=None),
            headers={"user-agent": "gpunode", "accept": "*/*"},
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def stream(
        self, url: str, headers: Headers | None = None, *, prepare: Prepare = as_is, method: str = "GET"
    ) -> AsyncIterator[httpx.Response]:
        """A 2xx answer with its body still to come.

        `prepare` is asked anew for every redirect that stays on the same server; another one gets no login.
        Raises Interrupted, Refused, or ResourceFailed for an address that must not be reached.
        """
        # Compressed answers could unfold to any size before a limit sees them.
        plain = {**(headers or {}), "accept-encoding": "identity"}
        target = _parsed(url)
        home = _place(target)
        seen: list[httpx.Headers] = []
        for _ in range(MAX_REDIRECTS + 1):
            call = prepare(str(target), plain) if _place(target) == home else Call(str(target), plain)
            async with self._sent(method, call) as response:
                seen.append(response.headers)
                if response.status_code in _REDIRECTS and response.headers.get("location"):
                    target = _onward(target, response.headers["location"])
                    continue
                if response.is_success:
                    response.extensions["hops"] = seen
                    yield response
                    return
                await _refuse(response, target)
        raise ResourceFailed(f"{shown(url)} redirects more than {MAX_REDIRECTS} times")

    async def read(
        self,
        url: str,
        headers: Headers | None = None,
        *,
        limit: int,
        seconds: float,
        prepare: Prepare = as_is,
    ) -> tuple[bytes, httpx.Headers]:
        """A whole body of at most `limit` bytes, and the answer's headers. Raises what `stream` raises."""
        try:
            async with asyncio.timeout(seconds), self.stream(url, headers, prepare=prepare) as response:
                return await _whole(response, limit, url), response.headers
        except TimeoutError:
            raise Interrupted(f"{shown(url)} did not answer within {seconds:g} s") from None

    @asynccontextmanager
    async def _sent(self, method: str, call: Call) -> AsyncIterator[httpx.Response]:
        target = _parsed(call.url)
        await self._look_at(target)
        try:
            request = self._client.build_request(method, target, headers=dict(call.headers))
            response = await self._client.send(request, stream=True, follow_redirects=False)
            try:
                yield response
            finally:
                await response.aclose()
        except AddressRefused as refused:
            raise ResourceFailed(
                f"{shown(call.url)} is not fetched: {refused}",
                hint="Only the public internet is; the operator may allow others in resources.private_hosts.",
            ) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
            raise ResourceFailed(f"{shown(call.url)} is no address that can be fetched") from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise Interrupted(f"{shown(call.url)} broke off: {str(error) or type(error).__name__}") from None

    async def _look_at(self, target: httpx.URL) -> None:
        """Ask the agent once about each host: it knows what its operator allows."""
        place = (target.host, target.port or (443 if target.scheme == "https" else 80))
        async with self._asking:
            if place in self._asked:
                return
            if len(self._asked) >= MOST_QUESTIONS:
                raise ResourceFailed(f"the data lie on more than {MOST_QUESTIONS} hosts")
            if await self._may(*place):
                self._allowed.add(place)
            self._asked.add(place)


_SPAN = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


@dataclass(frozen=True, slots=True)
class Span:
    """Which part of a file a body is."""

    start: int
    total: int | None
    """Bytes of the whole file, where the server says it."""


def span_of(response: httpx.Response) -> Span | None:
    """The part that a body is; None: the whole, or a part that makes no sense (with status 206).

    Some servers answer a range with status 200: then it is one if what they say of it fits its length.
    """
    stated = _SPAN.fullmatch(response.headers.get("content-range", ""))
    if stated is None:
        return None
    start, end = int(stated[1]), int(stated[2])
    if response.status_code != 206 and response.headers.get("content-length") != str(end - start + 1):
        return None
    return Span(start, None if stated[3] == "*" else int(stated[3]))


def document(body: bytes, limit: int, url: str) -> object:
    """The JSON document in a body. Raises ResourceFailed."""
    try:
        return read_json(body, limit=limit)
    except JsonRefused as refused:
        raise ResourceFailed(f"{shown(url)} answered {refused}") from None


def first_of(failed: BaseException) -> BaseException:
    """Of the errors of a task group the first: the others are the same trouble, or its consequences."""
    while isinstance(failed, BaseExceptionGroup):
        failed = failed.exceptions[0]
    return failed


def shown(url: str) -> str:
    """A URL as messages show it: without login and query, in characters that can be seen."""
    try:
        parsed = httpx.URL(url)
        port = f":{parsed.port}" if parsed.port else ""
        text = f"{parsed.scheme}://{parsed.host}{port}{parsed.path}"
    except (httpx.InvalidURL, UnicodeError):
        text = "<malformed address>"
    return re.sub(r"[^\x20-\x7e]", "?", text)[:300]


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        raise ResourceFailed("the address is malformed", hint="Write it like https://host/path.") from None
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
        raise ResourceFailed(
            f"{shown(url)} is no address that can be fetched", hint="Write it like https://host/path, without a login."
        )
    return parsed


def _place(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _onward(at: httpx.URL, location: str) -> httpx.URL:
    try:
        target = at.join(location)
    except (httpx.InvalidURL, UnicodeError):
        raise ResourceFailed(f"{shown(str(at))} redirects to no address") from None
    if at.scheme == "https" and target.scheme != "https":
        raise ResourceFailed(f"{shown(str(at))} redirects to {shown(str(target))}, which gives up encryption")
    return _parsed(str(target))


async def _refuse(response: httpx.Response, target: httpx.URL) -> None:
    status = response.status_code
    said = await _beginning(response)
    message = f"{shown(str(target))} answered status code {status}"
    if status in _BUSY:
        wished = response.headers.get("retry-after", "")
        raise Interrupted(
            message, status, min(int(wished), MOST_LEFT_ALONE) if wished.isdecimal() and len(wished) < 9 else 0
        )
    hint = "The data are not public, or the login does not open them." if status in (401, 403) else ""
    hint = hint or ("Check the address, the names and the revision." if status == 404 else "")
    raise Refused(message, status=status, headers=response.headers, said=said, hint=hint)


async def _whole(response: httpx.Response, limit: int, url: str) -> bytes:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise ResourceFailed(f"{shown(url)} answered in an encoding that was not asked for")
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > limit:
            raise ResourceFailed(f"{shown(url)} answered more than {limit:,} bytes")
    return bytes(body)


async def _beginning(response: httpx.Response) -> bytes:
    body = bytearray()
    try:
        async for piece in response.aiter_raw():
            body += piece
            if len(body) >= 2000:
                break
    except (httpx.HTTPError, httpx.StreamError):
        pass
    return bytes(body[:2000])
