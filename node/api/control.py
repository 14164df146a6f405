"""The control socket: HTTP over a unix socket for the agent's user, root, and the group that the settings name.

Routes (documents are described in node/api/documents.py):

- GET  /v1/status                → agent
- GET  /v1/jobs?limit=N&lane=NAME&state=STATE&since=SECONDS&skip=N → `{"jobs": [run]}`, newest first
- GET  /v1/latency?since=SECONDS → latency
- GET  /v1/jobs/{address}        → `{"job": ..., "runs": [run + "operations": [operation]]}` (job or run address)
- GET  /v1/logs/{address}        → `{"files": [{"operation": 0, "path": ...}]}`; with `?operation=I&offset=B` the bytes
  of that operation's log file from byte B, as far as it is written; the length read so far is the next offset
- GET  /v1/events?after=ID       → `{"events": [event]}`, oldest first
- POST /v1/bundle `{"job", "full"?, "earlier"?}` → the signed bundle's bytes (node/proof/bundle.py)
- GET  /v1/gpus                  → `{"provider": ..., "gpus": [gpu]}`
- GET  /v1/gpus/now              → `{"gpus": [now]}`
- GET  /v1/proofs               → proofs
- POST /v1/ladders `{"document"?}` → `{"digest": ...}`: keeps a precision ladder that was measured; without a document
  it only says (digest null, or refused) whether the lanes rest, so that one may be measured
- POST /v1/drain `{"lane"?}`, /v1/pause `{"lane"?, "seconds"?}`, /v1/resume `{"lane"?, "adopt"?}` → `{"lanes": [lane]}`
- POST /v1/stop `{"quit"?}`      → `{"stopping": true}`

An error is `{"error": {"kind", "message", "hint"}}` with status 400 (request), 404 (unknown) or 409 (refused).
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import web

from node.api import documents
from node.api.control_requests import BODY_LIMIT, BadRequest, Unknown, body_of, number, read_piece, wanted
from node.api.guard import Guard, GuardLimits, own_user_and
from node.api.money import money_document
from node.api.port import ControlPort
from node.errors import ControlError, GpunodeError

log = logging.getLogger(__name__)

JOBS_LIMIT = 1000
"""Runs in one answer at most."""
BACKLOG = 64
_LONGEST_PATH = 107
"""Bytes that fit into a unix socket's address on Linux."""


class ControlServer:
    """Serves a ControlPort on a unix socket; an async context manager.

    Entering raises ControlError when another agent answers on the path, or when it cannot be used.
    """

    def __init__(
        self, port: ControlPort, path: Path, *, group: str | None = None, limits: GuardLimits | None = None
    ) -> None:
        self.path = path
        self._port = port
        self._group = group
        self._limits = limits
        self._server: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None
        self._inode: int | None = None

    async def __aenter__(self) -> ControlServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Bind the socket (0600, or 0660 for a group) and answer requests."""
        group = None if self._group is None else _groupnumber(self._group)
        listener = await asyncio.to_thread(_bind, self.path, group)
        self._inode = self.path.stat().st_ino
        guard = Guard(own_user_and(group), self._limits)
        # Connections of a dead client must not keep a stopping agent alive.
        self._runner = web.AppRunner(_application(self._port, guard), access_log=None, shutdown_timeout=2.0)
        await self._runner.setup()
        assert self._runner.server is not None
        self._server = await guard.serve(self._runner.server, listener)

    async def aclose(self) -> None:
        """Stop answering and remove the socket, unless another agent's has taken its place."""
        if self._runner is None:
            return
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()
        self._runner = None
        with contextlib.suppress(FileNotFoundError):
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()


def answers(path: Path) -> bool:
    """Whether some process answers on the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            # A full backlog or a slow process is a living one.
            return True
    return True


def _groupnumber(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ControlError(f"there is no group {name!r} on this host", hint="correct paths.control_group") from None


def _bind(path: Path, group: int | None) -> socket.socket:
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise ControlError(
            f"{path}: longer than the {_LONGEST_PATH} bytes a socket's path may have",
            hint="set paths.control_socket to a shorter path",
        )
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if group is not None:
                os.chown(path.parent, -1, group)
                path.parent.chmod(0o750)
        if path.exists() or path.is_symlink():
            _make_room(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Nobody else may open it in the moment before it has its mode.
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        if group is not None:
            os.chown(path, -1, group)
            path.chmod(0o660)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        raise ControlError(
            f"{path}: the control socket cannot be made: {error.strerror or error}",
            hint="set paths.control_socket to a path this user can write",
        ) from None
    return listener


def _make_room(path: Path) -> None:
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise ControlError(f"{path}: is no socket", hint="move it away, or set paths.control_socket to another path")
    if answers(path):
        raise ControlError(
            f"{path}: an agent is running already",
            hint="see `gpunode status`; a second agent needs its own paths.data and paths.control_socket",
        )
    path.unlink()


def _application(port: ControlPort, guard: Guard) -> web.Application:
    app = web.Application(client_max_size=BODY_LIMIT, middlewares=[_errors, guard.middleware])
    routes = _Routes(port)
    app.add_routes(
        [
            web.get("/v1/status", routes.status),
            web.get("/v1/jobs", routes.jobs),
            web.get("/v1/jobs/{address}", routes.job),
            web.get("/v1/logs/{address}", routes.logs),
            web.get("/v1/events", routes.events),
            web.get("/v1/latency", routes.latency),
            web.post("/v1/bundle", routes.bundle),
            web.get("/v1/gpus", routes.gpus),
            web.get("/v1/money", routes.money),
            web.get("/v1/gpus/now", routes.gpus_now),
            web.get("/v1/proofs", routes.proofs),
            web.post("/v1/ladders", routes.ladders),
            web.post("/v1/drain", routes.drain),
            web.post("/v1/pause", routes.pause),
            web.post("/v1/resume", routes.resume),
            web.post("/v1/stop", routes.stop),
        ]
    )
    return app


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except BadRequest as error:
        return _refusal(400, error)
    except Unknown as error:
        return _refusal(404, error)
    except GpunodeError as error:
        return _refusal(409, error)
    except web.HTTPException as error:
        return _refusal(error.status, ControlError(error.reason))
    except Exception:
        log.exception("control request %s %s failed", request.method, request.path)
        return _refusal(500, ControlError("the agent failed to answer", hint="its log says why; this is a bug"))


def _refusal(status: int, error: GpunodeError) -> web.Response:
    kind = "ControlError" if isinstance(error, BadRequest | Unknown) else type(error).__name__
    known = {"kind": kind, "message": error.message, "hint": error.hint}
    return web.json_response({"error": known}, status=status)


class _Routes:
    """One method per route."""

    def __init__(self, port: ControlPort) -> None:
        self._port = port

    async def status(self, _request: web.Request) -> web.Response:
        return web.json_response(documents.agent_document(await self._port.status()))

    async def jobs(self, request: web.Request) -> web.Response:
        limit = number(request, "limit", default=50, largest=JOBS_LIMIT)
        runs = await self._port.jobs(limit, wanted(request))
        return web.json_response({"jobs": [documents.run_document(run) for run in runs]})

    async def job(self, request: web.Request) -> web.Response:
        address = request.match_info["address"]
        runs = await self._port.job(address)
        if not runs:
            raise Unknown(f"{address}: this host has run no such job", hint="see `gpunode jobs`")
        described = []
        for run in runs:
            operations = [documents.operation_document(state) for state in await self._port.operations(run.run)]
            more = documents.run_more(await self._port.moments(run.run), await self._port.energy(run.run))
            described.append({**documents.run_document(run), **more, "operations": operations})
        return web.json_response({"job": runs[0].job, "runs": described})

    async def latency(self, request: web.Request) -> web.Response:
        since = number(request, "since", default=0, largest=2**40)
        return web.json_response(documents.latency_document(await self._port.latency(since)))

    async def logs(self, request: web.Request) -> web.Response:
        address = request.match_info["address"]
        paths = await self._port.log_paths(address)
        if "operation" not in request.query:
            if not paths and not await self._port.job(address):
                raise Unknown(f"{address}: this host has run no such job", hint="see `gpunode jobs`")
            files = [{"operation": index, "path": str(path)} for index, path in enumerate(paths)]
            return web.json_response({"files": files})
        index = number(request, "operation", default=0, largest=10_000)
        if index >= len(paths):
            raise Unknown(f"{address}: operation {index} has no log", hint=f"see `gpunode jobs show {address}`")
        offset = number(request, "offset", default=0, largest=2**62)
        piece = await asyncio.to_thread(read_piece, paths[index], offset)
        return web.Response(body=piece, content_type="application/octet-stream")

    async def events(self, request: web.Request) -> web.Response:
        after = number(request, "after", default=0, largest=2**62)
        events = await self._port.events(after=after)
        return web.json_response({"events": [documents.event_document(event) for event in events]})

    async def bundle(self, request: web.Request) -> web.Response:
        # A command and not a question, because it signs.
        body = await body_of(request, job=str, full=bool, earlier=int)
        if "job" not in body:
            raise BadRequest("job: is missing")
        if not 0 <= body.get("earlier", 0) <= JOBS_LIMIT:
            raise BadRequest(f"earlier: must be a whole number up to {JOBS_LIMIT}")
        made = await self._port.bundle(body["job"], full=body.get("full", False), earlier=body.get("earlier"))
        return web.Response(body=made, content_type="application/json")

    async def gpus_now(self, _request: web.Request) -> web.Response:
        now = await self._port.gpus_now()
        return web.json_response({"gpus": [documents.plain(each) for each in now]})

    async def gpus(self, _request: web.Request) -> web.Response:
        gpus = await self._port.gpus()
        provider = (await self._port.status()).gpu_provider
        return web.json_response({"provider": provider, "gpus": [documents.gpu_document(gpu) for gpu in gpus]})

    async def proofs(self, _request: web.Request) -> web.Response:
        return web.json_response(documents.proofs_document(await self._port.proofs()))

    async def ladders(self, request: web.Request) -> web.Response:
        text = (await body_of(request, document=str)).get("document")
        if text is None:
            await self._port.require_rest()
            return web.json_response({"digest": None})
        return web.json_response({"digest": (await self._port.keep_ladder(text.encode())).digest})

    async def money(self, request: web.Request) -> web.Response:
        since = number(request, "from", default=0, largest=2**40)
        until = number(request, "to", default=2**40, largest=2**40)
        return web.json_response(money_document(await self._port.money(since, until)))

    async def drain(self, request: web.Request) -> web.Response:
        body = await body_of(request, lane=str)
        return _lanes(await self._port.drain(body.get("lane")))

    async def pause(self, request: web.Request) -> web.Response:
        body = await body_of(request, lane=str, seconds=(int, float))
        seconds = body.get("seconds")
        if seconds is not None and not 0 < seconds < 2**31:
            raise BadRequest("seconds: must be more than 0")
        return _lanes(await self._port.pause(body.get("lane"), seconds))

    async def resume(self, request: web.Request) -> web.Response:
        body = await body_of(request, lane=str, adopt=bool)
        act = self._port.adopt if body.get("adopt") else self._port.resume
        return _lanes(await act(body.get("lane")))

    async def stop(self, request: web.Request) -> web.Response:
        body = await body_of(request, quit=bool)
        await (self._port.stop_and_quit() if body.get("quit") else self._port.stop())
        return web.json_response({"stopping": True})


def _lanes(lanes: tuple[Any, ...]) -> web.Response:
    return web.json_response({"lanes": [documents.lane_document(lane) for lane in lanes]})
