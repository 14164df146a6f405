"""The poster's side of a confidential job: the definition goes to the node's API, the result is collected there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from node.base58 import b58encode
from node.bounded_body import ACCEPTED, BodyRefused, read_body
from node.bounded_json import JsonRefused, read_json
from node.errors import AccountMissing, JobError, RpcUnavailable, UsageError
from node.market.poster import Phase
from node.retry import Clock

if TYPE_CHECKING:
    from node.market.poster import Poster
    from node.records import Address

POLL_SECONDS = 1.0
SEND_AGAIN = 5.0
"""Seconds between attempts to send a definition (Nosana's client)."""
COLLECT_AGAIN = 3.0
"""The node keeps a result for its owner for a minute."""
ANSWER_SECONDS = 30.0
RESULT_LIMIT = 64 << 20
RESULT_DEPTH = 100


class NodeApi:
    """One job, at the API of the node that has it. Requests are signed anew each time, over the job's address."""

    def __init__(self, base: str, job: Address, sign: Callable[[bytes], bytes], clock: Clock) -> None:
        """`base`: `scheme://domain[:port]` below which nodes have their names."""
        self._base = base
        self._job = job
        self._sign = sign
        self._clock = clock

    async def send(self, node: Address, definition: bytes) -> str:
        """Send the definition; why it was not taken, or an empty text."""
        try:
            async with self._client(node) as client:
                answer = await client.post(f"/job/{self._job}/job-definition", content=definition)
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__
        return "" if answer.status_code == httpx.codes.OK else f"{answer.status_code} {answer.text[:200]}"

    async def result(self, node: Address) -> Any:
        """The result that waits for its owner; None where none does (yet), or it cannot be had."""
        try:
            async with (
                self._client(node) as client,
                client.stream("GET", f"/job/{self._job}/results") as answer,
            ):
                if answer.status_code != httpx.codes.OK:
                    return None
                body = await read_body(answer, RESULT_LIMIT)
            return read_json(body, limit=RESULT_LIMIT, depth=RESULT_DEPTH)
        except (httpx.HTTPError, BodyRefused, JsonRefused):
            return None

    @asynccontextmanager
    async def _client(self, node: Address) -> AsyncIterator[httpx.AsyncClient]:
        signature = b58encode(self._sign(self._job.encode()))
        headers = {
            "authorization": f"{self._job}:{signature}:{round(self._clock.time() * 1000)}",
            "content-type": "application/json",
            "accept-encoding": ACCEPTED,
        }
        url, host = reachable(self._base, node)
        async with httpx.AsyncClient(
            base_url=url, headers={**headers, "host": host}, timeout=ANSWER_SECONDS, trust_env=False
        ) as client:
            yield client


def reachable(base: str, node: Address) -> tuple[str, str]:
    """Where to connect to, and the host to ask for. Raises UsageError for what is no base.

    Names below `localhost` are this machine's, which not every system's resolver knows.
    """
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{base} is no address of nodes", hint="for example https://node.k8s.prd.nos.ci")
    port = f":{parts.port}" if parts.port else ""
    host = f"{node.lower()}.{parts.hostname}{port}"
    if parts.hostname == "localhost":
        return f"{parts.scheme}://127.0.0.1{port}", host
    return f"{parts.scheme}://{host}", host


async def deliver(
    poster: Poster, api: NodeApi, job: Address, definition: bytes, tell: Callable[[str], None]
) -> Address:
    """Send the definition to the node that gets the job, as soon as it takes it; the node.

    Raises JobError when the job ends before that.
    """
    said = ""
    while True:
        pause, word = POLL_SECONDS, ""
        try:
            view = await poster.view(job)
        except AccountMissing:
            raise JobError("the job's account is gone: it was delisted, recovered or cleaned") from None
        except RpcUnavailable as error:
            word = f"{error.message}; asking again until it answers"
        else:
            if view.phase is Phase.RUNNING and view.run is not None:
                trouble = await api.send(view.run.node, definition)
                if not trouble:
                    tell(f"the definition was received by {view.run.node}")
                    return view.run.node
                pause, word = SEND_AGAIN, f"{view.run.node} does not take the definition yet: {trouble}"
            elif view.phase is Phase.QUEUED:
                word = "waiting for a node"
            else:
                raise JobError("the job ended before its definition was sent", hint="post it again")
        if word and word != said:
            tell(word)
            said = word
        await asyncio.sleep(pause)


async def collect(api: NodeApi, node: Address) -> Any:
    """The full result, as soon as it waits for its owner."""
    while True:
        result = await api.result(node)
        if result is not None:
            return result
        await asyncio.sleep(COLLECT_AGAIN)


def with_collected(outcome: dict[str, Any] | None, collected: Any) -> dict[str, Any] | None:
    """The document of a job that was followed, with the result that its owner collected: the pinned one has the status,
    the collected one all else."""
    pinned = outcome.get("result") if outcome is not None else None
    if outcome is None or not isinstance(collected, dict) or not isinstance(pinned, dict):
        return outcome
    return {**outcome, "result": {**collected, "status": pinned.get("status")}}
