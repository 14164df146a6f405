"""Speaks to a running agent over its control socket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from node.api.documents import Document
from node.bounded_json import JsonRefused, read_json
from node.errors import ControlError
from node.journal.job_filter import EVERY_JOB, JobFilter

TIMEOUT = 15.0
"""Seconds for an answer; the agent answers from memory and journal, so it is far less."""
BUNDLE_TIMEOUT = 60.0
"""Seconds for a bundle: large parts are read from the disk."""
_ANSWER_LIMIT = 64 << 20
_NOT_RUNNING = "start it with `gpunode run`, or `systemctl start gpunode` where it is a service"


class NoAgent(ControlError):
    """Nobody answers on the control socket."""


class AgentSilent(ControlError):
    """It took the request and did not answer: it may be ending."""


class ControlClient:
    """The agent behind a control socket; an async context manager.

    Every call raises NoAgent when none runs, and ControlError when it refuses or does not make sense.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        # Proxies of the environment are for the network, never for a socket of this host.
        self._http = httpx.AsyncClient(transport=transport, base_url="http://agent", timeout=TIMEOUT, trust_env=False)

    async def __aenter__(self) -> ControlClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def status(self) -> Document:
        """The agent's document."""
        return await self._json("GET", "/v1/status")

    async def jobs(self, limit: int = 50, wanted: JobFilter = EVERY_JOB) -> Document:
        """The latest runs among those wanted."""
        asked = {"lane": wanted.lane, "state": wanted.state, "since": wanted.since, "skip": wanted.skip or None}
        known = {name: value for name, value in asked.items() if value is not None}
        if wanted.since is not None:
            known["since"] = int(wanted.since)
        return await self._json("GET", "/v1/jobs", query={"limit": limit, **known})

    async def latency(self, since: float) -> Document:
        """What the legs of runs' ways took, of runs since unix seconds."""
        return await self._json("GET", "/v1/latency", query={"since": int(since)})

    async def job(self, address: str) -> Document:
        """All runs of one job, with their operations."""
        return await self._json("GET", f"/v1/jobs/{_segment(address)}")

    async def log_files(self, address: str) -> Document:
        """Which log files a job's newest run has."""
        return await self._json("GET", f"/v1/logs/{_segment(address)}")

    async def log_bytes(self, address: str, operation: int, offset: int) -> bytes:
        """What an operation's log file holds from `offset` on; empty when there is no more yet."""
        query = {"operation": operation, "offset": offset}
        return (await self._request("GET", f"/v1/logs/{_segment(address)}", query=query)).content

    async def events(self, after: int = 0) -> Document:
        """Journal events after an id."""
        return await self._json("GET", "/v1/events", query={"after": after})

    async def bundle(self, address: str, *, full: bool, earlier: int) -> bytes:
        """The signed bundle of a job's newest run."""
        body = {"job": address, "full": full, "earlier": earlier}
        return (await self._request("POST", "/v1/bundle", body=body, timeout=BUNDLE_TIMEOUT)).content

    async def gpus(self) -> Document:
        """The host's GPUs."""
        return await self._json("GET", "/v1/gpus")

    async def gpus_now(self) -> Document:
        """The same GPUs at this moment."""
        return await self._json("GET", "/v1/gpus/now")

    async def proofs(self) -> Document:
        """GPU work proofs and precision ladders."""
        return await self._json("GET", "/v1/proofs")

    async def require_rest(self) -> Document:
        """Refused while any lane may get a job."""
        return await self._json("POST", "/v1/ladders", body={})

    async def keep_ladder(self, document: bytes) -> Document:
        """Have the agent keep a precision ladder."""
        return await self._json("POST", "/v1/ladders", body={"document": document.decode()})

    async def money(self, since: int, until: int) -> Document:
        """What was settled and spent, from and to before unix seconds."""
        return await self._json("GET", "/v1/money", query={"from": since, "to": until})

    async def drain(self, lane: str | None = None) -> Document:
        """Finish the job at hand and take no more."""
        return await self._json("POST", "/v1/drain", body={"lane": lane})

    async def pause(self, lane: str | None = None, seconds: float | None = None) -> Document:
        """As drain, for a time."""
        return await self._json("POST", "/v1/pause", body={"lane": lane, "seconds": seconds})

    async def resume(self, lane: str | None = None) -> Document:
        """Undo drain or pause."""
        return await self._json("POST", "/v1/resume", body={"lane": lane})

    async def adopt(self, lane: str | None = None) -> Document:
        """As resume, and take over what the journal did not ask for."""
        return await self._json("POST", "/v1/resume", body={"lane": lane, "adopt": True})

    async def stop(self) -> Document:
        """End the agent; containers run on."""
        return await self._json("POST", "/v1/stop", body={})

    async def stop_and_quit(self) -> Document:
        """Quit the jobs at hand, then end the agent."""
        return await self._json("POST", "/v1/stop", body={"quit": True})

    async def _json(
        self, method: str, route: str, *, query: Mapping[str, Any] | None = None, body: object | None = None
    ) -> Document:
        response = await self._request(method, route, query=query, body=body)
        try:
            answer = read_json(response.content, limit=_ANSWER_LIMIT)
        except JsonRefused:
            answer = None
        if not isinstance(answer, dict):
            raise self._strange()
        return answer

    async def _request(
        self,
        method: str,
        route: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: object | None = None,
        timeout: float = TIMEOUT,
    ) -> httpx.Response:
        content = None if body is None else json.dumps(body)
        try:
            response = await self._http.request(method, route, params=query, content=content, timeout=timeout)
        except httpx.ConnectError as error:
            raise self._unreachable(error) from None
        except httpx.HTTPError as error:
            raise AgentSilent(
                f"{self.path}: the agent did not answer: {str(error) or type(error).__name__}",
                hint="see its log; `gpunode doctor` checks the rest",
            ) from None
        if response.is_success:
            return response
        try:
            known = read_json(response.content, limit=_ANSWER_LIMIT)["error"]
            raise ControlError(str(known["message"]), hint=str(known["hint"]))
        except (ValueError, KeyError, TypeError):
            raise self._strange() from None

    def _unreachable(self, error: httpx.ConnectError) -> ControlError:
        if "Permission" in str(error) or "Errno 13" in str(error):
            return ControlError(
                f"{self.path}: this user may not speak to the agent",
                hint="run as the agent's user, or join the group that paths.control_group names",
            )
        return NoAgent(f"no agent answers at {self.path}", hint=_NOT_RUNNING)

    def _strange(self) -> ControlError:
        return ControlError(f"{self.path}: what answers there is no gpunode agent", hint="check paths.control_socket")


def _segment(text: str) -> str:
    """An address as one path segment; anything else cannot name a job."""
    if not text.isascii() or not text.isalnum():
        raise ControlError(f"{text[:60]!r} is not a job or run address", hint="see `gpunode jobs`")
    return text
