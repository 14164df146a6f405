"""Several endpoints of one cluster, as one that is better than any of them.

Reads go to the first endpoint that answers, is not behind, and may be asked now; transactions go to all at once. An
endpoint that turns out to serve another chain is not asked any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import httpx

from node.chain import replies
from node.chain.bucket import Rate
from node.chain.line import Line
from node.chain.standing import LAG_LIMIT, Limits, Standing, lags
from node.chain.transport import UNSERVED, Endpoint
from node.errors import RpcBehind, RpcRejected, RpcUnavailable, TransactionFailed
from node.loopback import is_loopback
from node.retry import Clock

T = TypeVar("T")

_log = logging.getLogger(__name__)

PUBLIC_LIMITS = Limits(total=Rate(8.0, 60), method=Rate(3.5, 30))
"""Below what the public endpoints allow one address: 100 requests in 10 s, 40 of one method (Solana documentation)."""
PROBE_EVERY = 10.0
"""Seconds between looks at each endpoint, where there are several."""
STRAGGLERS = 0.5
"""Seconds that the other endpoints get to take a transaction, once one has."""


@dataclass(frozen=True, slots=True)
class EndpointView:
    """How an endpoint stands, for people."""

    name: str
    ok: bool
    lag: int
    """Slots behind the newest view."""
    note: str
    """Why it is not asked first; empty where there is nothing to say."""


class Pool:
    """The endpoints in the order of the settings, which is the order of preference among equals."""

    def __init__(
        self,
        urls: Sequence[str],
        client: httpx.AsyncClient,
        timeout: float,
        clock: Clock,
        limits: Limits | None = PUBLIC_LIMITS,
    ) -> None:
        """`limits` hold for every endpoint that is not on this machine; None: for none."""
        self._endpoints = [Endpoint(url, client, timeout) for url in urls]
        self._standings = [Standing(None if is_loopback(url) else limits) for url in urls]
        self._lines = [Line(standing, clock) for standing in self._standings]
        self._clock = clock
        self.genesis: str | None = None
        """Hash of the chain that is wanted; None: any, as long as nobody knows."""

    def __len__(self) -> int:
        return len(self._endpoints)

    # --- asking ---

    async def call(
        self, method: str, params: Sequence[Any], parse: Callable[[Any], T], *, commitment: str | None = None
    ) -> T:
        """Ask one endpoint after the other until one answers.

        `commitment` is that of the answer's slot, where it has one. Raises RpcBehind where one answered and none has
        reached the slot demanded, the last one's RpcUnavailable, or RpcRejected where no endpoint serves the method.
        """
        last: RpcUnavailable | None = None
        unserved: RpcRejected | None = None
        for index in self._order(method):
            try:
                await self._require_chain(index)
                await self._lines[index].turn(method)
                return await self._ask(index, method, params, parse, commitment)
            except RpcUnavailable as error:
                # One that works and lags says more than one that is away.
                last = last if isinstance(last, RpcBehind) else error
            except RpcRejected as error:
                if error.code not in UNSERVED:
                    raise
                unserved = unserved or error
        raise last or unserved or RpcUnavailable("no RPC endpoint is configured", hint="Set `rpc.urls`.")

    async def call_all(self, method: str, params: Sequence[Any], parse: Callable[[Any], T]) -> T:
        """Ask all endpoints at once; the first good answer. What must get out does not wait for its turn.

        Raises what says most, where none is good: TransactionFailed, then RpcRejected, then RpcUnavailable.
        """
        failures: list[Exception] = []
        answers: list[T] = []
        async with asyncio.TaskGroup() as group:
            tasks = {
                group.create_task(self._try(index, method, params, parse, answers, failures))
                for index in self._order(method)
            }
            pending = set(tasks)
            while pending and not answers:
                _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if pending:
                _, pending = await asyncio.wait(pending, timeout=STRAGGLERS)
            for straggler in pending:
                straggler.cancel()
        if answers:
            return answers[0]
        for kind in (TransactionFailed, RpcRejected, RpcUnavailable):
            for error in failures:
                if isinstance(error, kind):
                    raise error
        raise RpcUnavailable("no RPC endpoint is configured", hint="Set `rpc.urls`.")

    async def _try(
        self,
        index: int,
        method: str,
        params: Sequence[Any],
        parse: Callable[[Any], T],
        answers: list[T],
        failures: list[Exception],
    ) -> None:
        try:
            await self._require_chain(index)
            self._standings[index].take(method, self._clock.monotonic())
            answers.append(await self._ask(index, method, params, parse, None))
        except (RpcUnavailable, RpcRejected, TransactionFailed) as error:
            failures.append(error)

    async def _ask(
        self, index: int, method: str, params: Sequence[Any], parse: Callable[[Any], T], commitment: str | None
    ) -> T:
        """Ask one; that it may be is booked before."""
        standing = self._standings[index]

        def parse_and_note(answer: Any) -> T:
            if commitment is not None:
                standing.saw(commitment, replies.slot_of(answer), self._clock.monotonic())
            return parse(answer)

        try:
            value = await self._endpoints[index].call(method, params, parse_and_note)
        except RpcUnavailable as error:
            standing.failed(error, self._clock.monotonic())
            raise
        except (RpcRejected, TransactionFailed):
            standing.answered(self._clock.monotonic())
            raise
        standing.answered(self._clock.monotonic())
        return value

    # --- which one ---

    def _order(self, method: str) -> list[int]:
        """Endpoints of our chain, best first: those that answer, are not behind, and may be asked soonest."""
        now = self._clock.monotonic()
        behind = lags(self._standings, now)

        def rank(index: int) -> tuple[bool, bool, bool, int]:
            standing = self._standings[index]
            return (standing.cooling(now), behind[index] > LAG_LIMIT, standing.wait(method, now) > 0, index)

        ours = [index for index in range(len(self)) if not self._is_foreign(index)]
        return sorted(ours or range(len(self)), key=rank)

    def _is_foreign(self, index: int) -> bool:
        genesis = self._standings[index].genesis
        return self.genesis is not None and genesis is not None and genesis != self.genesis

    async def _require_chain(self, index: int) -> None:
        """Before an endpoint of several is first trusted: that it serves the chain the others serve."""
        standing = self._standings[index]
        if self.genesis is None or len(self) == 1:
            return
        if standing.genesis is None:
            standing.take("getGenesisHash", self._clock.monotonic())
            standing.genesis = await self._ask(index, "getGenesisHash", [], replies.text, None)
            if self._is_foreign(index):
                _log.warning("%s serves another chain and is not asked any more", self._endpoints[index].name)
        if self._is_foreign(index):
            raise RpcUnavailable(
                f"{self._endpoints[index].name} serves another chain ({standing.genesis})",
                hint="Remove it from `rpc.urls`.",
            )

    # --- watching them ---

    async def run(self) -> NoReturn:
        """Look at every endpoint now and then, so that the one that is asked next is known to be good."""
        while True:
            if len(self) > 1:
                async with asyncio.TaskGroup() as group:
                    for index in range(len(self)):
                        group.create_task(self._probe(index))
            await self._clock.sleep(PROBE_EVERY)

    async def _probe(self, index: int) -> None:
        standing = self._standings[index]
        if self._is_foreign(index) or standing.cooling(self._clock.monotonic()):
            return
        try:
            await self._require_chain(index)
            config = {"commitment": "confirmed"}
            standing.take("getSlot", self._clock.monotonic())
            await self._ask(index, "getSlot", [config], replies.integer, "confirmed")
        except (RpcUnavailable, RpcRejected) as error:
            _log.debug("looking at %s: %s", self._endpoints[index].name, error.message)

    def views(self) -> tuple[EndpointView, ...]:
        """How each endpoint stands now."""
        now = self._clock.monotonic()
        behind = lags(self._standings, now)
        return tuple(
            EndpointView(self._endpoints[index].name, not note, max(0, behind[index]), note)
            for index in range(len(self))
            for note in [self._note(index, behind[index], now)]
        )

    def _note(self, index: int, behind: int, now: float) -> str:
        standing = self._standings[index]
        if self._is_foreign(index):
            return "serves another chain"
        if standing.cooling(now):
            return standing.last_error
        return f"{behind} slots behind" if behind > LAG_LIMIT else ""

    @property
    def answered_at(self) -> float:
        """Monotonic seconds of the last answer of any endpoint; minus infinity: none yet."""
        return max((standing.answered_at for standing in self._standings), default=float("-inf"))
