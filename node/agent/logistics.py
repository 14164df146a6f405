"""How a confidential job's definition comes to this host and its result goes to its owner.

Either this host asks an address of the poster's, with an auth string by its own key over the job's address; or the
owner asks this host's API, and the `Letterbox` is where the two meet.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from node.base58 import b58encode
from node.bounded_body import ACCEPTED, BodyRefused, read_body
from node.errors import JobError, NotWaiting, TravelFailed
from node.job.text import MAX_BYTES, parse_json
from node.job.travel import address_of, awaiting_collection
from node.loopback import is_loopback
from node.marks import Mark, marked
from node.public_network import Exempt, PublicTransport, nothing_exempt
from node.records import Address, Leg, LegKind
from node.retry import Clock, sleep_or

log = logging.getLogger(__name__)

ATTEMPTS = 4
PAUSE = 10.0
"""Seconds between attempts (Nosana node)."""
REQUEST_TIMEOUT = 30.0
"""Seconds that one attempt may take altogether."""
COLLECT_WITHIN = 60.0
"""Seconds in which an owner collects a result (Nosana node)."""
MOST_REDIRECTS = 3

NOT_COLLECTED = "Results were not collected before the timeout."
NO_SEND_ENDPOINT = "Api Job definition logistic requires an endpoint."
NO_RECEIVE_ENDPOINT = "Api result logictic requires an endpoint."
"""As the Nosana node spells it."""

Keep = Callable[[bytes], Awaitable[None]]
"""Makes a definition durable."""


class Letterbox:
    """Where a confidential job and its owner meet, of one job."""

    def __init__(self) -> None:
        self._keep: Keep | None = None
        self._taken = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._result: bytes | None = None
        self._collected = asyncio.Event()

    # --- the owner's side ---

    async def deliver(self, definition: bytes) -> None:
        """Take the definition; durable when this returns. Raises NotWaiting; JournalError where it cannot be kept."""
        async with self._one_at_a_time:
            if self._keep is None:
                raise NotWaiting("the job waits for no definition")
            # Whoever asked may hang up meanwhile: half of it must not be all.
            await asyncio.shield(self._keep(definition))
            self._keep = None
            self._taken.set()

    def result(self) -> bytes:
        """The result that waits for its owner. Raises NotWaiting."""
        if self._result is None:
            raise NotWaiting("no result waits for its owner")
        return self._result

    def collected(self) -> None:
        """The owner has the result."""
        self._collected.set()

    # --- the job's side ---

    @asynccontextmanager
    async def expecting(self, keep: Keep) -> AsyncIterator[asyncio.Event]:
        """While the block runs a definition may be delivered; the event is set once one was kept."""
        self._keep = keep
        try:
            yield self._taken
        finally:
            self._keep = None

    @asynccontextmanager
    async def offering(self, result: bytes) -> AsyncIterator[asyncio.Event]:
        """While the block runs the result may be collected; the event is set once it was."""
        self._result = result
        try:
            yield self._collected
        finally:
            self._result = None


@dataclass(frozen=True, slots=True)
class Logistics:
    """Brings definitions and results over the network, for one lane's key."""

    sign: Callable[[bytes], bytes]
    clock: Clock
    exempt: Exempt = nothing_exempt
    """Hosts that are asked although they are not of the public internet."""
    is_reached: bool = True
    """Whether owners reach this host's API."""

    def refusal(self, *legs: Leg | None) -> str:
        """Why nothing can travel so; empty: it can. Whoever waits for an owner that cannot come is paid for nothing."""
        if not self.is_reached and any(leg is not None and leg.kind is LegKind.LISTEN for leg in legs):
            return "the job's owner cannot reach this host's API (service.tunnel is off)"
        return ""

    async def bring_definition(self, leg: Leg, job: Address, letterbox: Letterbox, keep: Keep) -> None:
        """Have the definition kept; returns when it is durable, which may take as long as the job. Raises TravelFailed
        where an address of the poster's does not give one."""
        if leg.kind is LegKind.LISTEN:
            async with letterbox.expecting(keep) as taken:
                await taken.wait()
            return
        if not leg.endpoint:
            raise TravelFailed(NO_SEND_ENDPOINT)
        await keep(await self._fetched(address_of(leg, job), job))

    async def hand_over(self, leg: Leg, job: Address, result: bytes, letterbox: Letterbox) -> str:
        """Bring the full result to its owner; why that did not succeed, or an empty text."""
        if leg.kind is LegKind.LISTEN:
            kept = await asyncio.to_thread(awaiting_collection, result)
            async with letterbox.offering(kept) as collected:
                return "" if await sleep_or(self.clock, COLLECT_WITHIN, collected) else NOT_COLLECTED
        if not leg.endpoint:
            return NO_RECEIVE_ENDPOINT
        return await self._posted(address_of(leg, job), job, result)

    async def _fetched(self, url: str, job: Address) -> bytes:
        async def attempt(client: httpx.AsyncClient) -> bytes:
            async with client.stream("GET", url, headers=self._headers(job)) as answer:
                _require_success(answer)
                body = await read_body(answer, MAX_BYTES)
            parse_json(body)
            return body

        with marked(Mark.TRAVEL_FETCH):
            body = await self._tried(attempt)
        if body is None:
            raise TravelFailed(f"Failed to retrieve job definition from {url}.")
        return body

    async def _posted(self, url: str, job: Address, result: bytes) -> str:
        async def attempt(client: httpx.AsyncClient) -> bytes:
            headers = {**self._headers(job), "content-type": "application/json"}
            async with client.stream("POST", url, headers=headers, content=result) as answer:
                _require_success(answer)
            return b""  # What it says to it is nothing to us.

        with marked(Mark.TRAVEL_HAND_OVER):
            answered = await self._tried(attempt)
        return "" if answered is not None else f"Failed to post results to {url}."

    async def _tried(self, attempt: Callable[[httpx.AsyncClient], Awaitable[bytes]]) -> bytes | None:
        """What an attempt gave; None where none of them did."""
        transport = PublicTransport(exempt=self.exempt)
        async with httpx.AsyncClient(
            transport=transport, timeout=REQUEST_TIMEOUT, follow_redirects=True, max_redirects=MOST_REDIRECTS
        ) as client:
            for number in range(ATTEMPTS):
                if number:
                    await self.clock.sleep(PAUSE)
                try:
                    async with asyncio.timeout(REQUEST_TIMEOUT):
                        return await attempt(client)
                except (httpx.HTTPError, httpx.InvalidURL, BodyRefused, JobError, TimeoutError, ValueError) as error:
                    log.warning("a confidential job's address did not serve (attempt %d): %s", number + 1, error)
        return None

    def _headers(self, job: Address) -> dict[str, str]:
        signature = b58encode(self.sign(job.encode()))
        now_ms = round(self.clock.time() * 1000)
        return {"authorization": f"{job}:{signature}:{now_ms}", "accept-encoding": ACCEPTED}


def endpoints_here(cluster: str) -> Exempt:
    """Hosts outside the public internet that may be asked: on a localnet, whose posters are here, this machine's."""
    return _own_machine if cluster == "localnet" else nothing_exempt


def _own_machine(host: str, _port: int) -> bool:
    return is_loopback(f"http://[{host}]" if ":" in host else f"http://{host}")


def _require_success(answer: httpx.Response) -> None:
    if not answer.is_success:
        raise httpx.HTTPStatusError(f"status {answer.status_code}", request=answer.request, response=answer)
