"""The owner's requests that are answered at once. Texts and statuses are the Nosana node's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from node.api.owner import documents
from node.api.owner.gate import NO_JOB, Context, text
from node.api.owner.port import OwnedJob
from node.api.owner.stats import StatHistory, parse_interval, parse_moment
from node.errors import GpunodeError, JobError, NotWaiting, OwnerRefused
from node.job.text import parse_json
from node.records import Address

log = logging.getLogger(__name__)

DEFINITION_LIMIT = 1024 * 1024
"""Bytes of a definition that is sent."""
BODY_PATIENCE = 30.0
"""Seconds for it to come in."""
NOT_SENDABLE = "cannot send job definition at this time"
NOT_COLLECTABLE = "cannot get job result at this time"
NOT_SET = "The job definition has not yet been set. Please set the job definition and try again."
NOT_EXPOSED = "No exposed url for job id"
NO_SHELL = "no active job with SSH access: this node offers no shell into jobs"


def json_answer(document: Any, status: int = 200) -> web.Response:
    """A JSON document."""
    return web.Response(status=status, text=documents.compact(document), content_type="application/json")


# --- for anybody ------------------------------------------------------------------------------------------------


def addressed_node(context: Context, request: web.Request) -> Address:
    """The node whose host name was asked; the first one where another name was."""
    label = request.host.partition(".")[0]
    nodes = context.port.nodes()
    # Host names are compared without regard to case, and some proxies write them small.
    return next((node for node in nodes if node.lower() == label.lower()), nodes[0])


async def root(context: Context, request: web.Request) -> web.Response:
    """The node's address, as a JSON string."""
    return json_answer(addressed_node(context, request))


async def node_info(context: Context, request: web.Request) -> web.Response:
    """What the node is."""
    return json_answer(documents.node_info(await context.port.node(addressed_node(context, request))))


# --- the definition and the result ------------------------------------------------------------------------------


async def get_definition(context: Context, _request: web.Request, job: OwnedJob) -> web.Response:
    """The definition as it was posted or delivered."""
    body = await context.port.definition(job.address)
    if body is None:
        return text(400, NOT_SET)
    return web.Response(body=body, content_type="application/json", charset="utf-8")


async def post_definition(context: Context, request: web.Request, job: OwnedJob) -> web.Response:
    """Take a confidential job's definition."""
    async with asyncio.timeout(BODY_PATIENCE):
        body = await request.read()
    try:
        document = parse_json(body)
    except JobError as refused:
        return text(400, refused.message)
    if not isinstance(document, dict):
        return text(400, "job definition parameters not provided")
    try:
        await context.port.deliver(job.address, body)
    except NotWaiting:
        return text(400, NOT_SENDABLE)
    return text(200, "Job definition received")


async def get_result(context: Context, request: web.Request, job: OwnedJob) -> web.StreamResponse:
    """Hand the result over. Only once all of it has left this host it counts as collected."""
    try:
        body = await context.port.result(job.address)
    except NotWaiting:
        return text(400, NOT_COLLECTABLE)
    response = web.StreamResponse(headers={"content-type": "application/json; charset=utf-8"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body)
    await response.write_eof()
    await context.port.collected(job.address)
    return response


# --- operations -------------------------------------------------------------------------------------------------


async def get_operations(context: Context, _request: web.Request, job: OwnedJob) -> web.Response:
    """Status of every operation."""
    view = await context.port.view(job.address)
    if view is None or view.operations is None:
        return text(400, NO_JOB)
    return json_answer(documents.statuses(view))


async def get_operation(context: Context, request: web.Request, job: OwnedJob) -> web.Response:
    """Status of one operation; null where there is none by that name."""
    view = await context.port.view(job.address)
    if view is None or view.operations is None:
        return text(400, NO_JOB)
    name = request.match_info["op"]
    return json_answer({name: documents.statuses(view).get(name)})


async def get_current_group(context: Context, _request: web.Request, job: OwnedJob) -> web.Response:
    """Statuses of the group that runs; null between groups."""
    view = await context.port.view(job.address)
    if view is None or view.operations is None:
        return text(400, NO_JOB)
    group = view.current_group
    return json_answer(None if group is None else documents.statuses(view, group))


async def get_group(context: Context, request: web.Request, job: OwnedJob) -> web.Response:
    """Statuses of one group; empty where there is none by that name."""
    view = await context.port.view(job.address)
    if view is None or view.operations is None:
        return text(400, NO_JOB)
    return json_answer(documents.statuses(view, request.match_info["group"]))


async def _act(action: Awaitable[None], done: str, failed: Callable[[GpunodeError], str]) -> web.Response:
    try:
        await action
    except OwnerRefused as refused:
        return json_answer({"error": failed(refused)}, 500)
    return json_answer({"message": done})


async def restart_operation(context: Context, request: web.Request, job: OwnedJob) -> web.Response:
    """Stop and start one operation."""
    group, operation = request.match_info["group"], request.match_info["op"]
    action = context.port.restart_operation(job.address, group, operation)
    return await _act(action, "Operation restarted", lambda error: f"Failed to restart operation: {error.message}")


async def stop_operation(context: Context, request: web.Request, job: OwnedJob) -> web.Response:
    """End one operation."""
    group, operation = request.match_info["group"], request.match_info["op"]
    action = context.port.stop_operation(job.address, group, operation)
    return await _act(action, "Operation Stopped", lambda error: f"Failed to Stop operation: {error.message}")


async def restart_group(context: Context, request: web.Request, job: OwnedJob) -> web.Response:
    """Stop and start all operations of a group."""
    action = context.port.restart_group(job.address, request.match_info["group"])
    return await _act(action, "Group Operation restarted", lambda _: "Failed to restart group operations")


async def move_group(context: Context, request: web.Request, job: OwnedJob) -> web.Response:
    """Go on with another group."""
    action = context.port.move_group(job.address, request.match_info["group"])
    return await _act(action, "Group Operation restarted", lambda _: "Failed to restart group operations")


async def stop_group(context: Context, request: web.Request, job: OwnedJob) -> web.Response:
    """End all operations of a group."""
    action = context.port.stop_group(job.address, request.match_info["group"])
    return await _act(action, "Group Operation Stopped", lambda _: "Failed to stop group operations")


async def stop_job(context: Context, _request: web.Request, job: OwnedJob) -> web.Response:
    """End the job as if its time were over."""
    try:
        await context.port.stop(job.address)
    except OwnerRefused:
        return text(400, NO_JOB)
    return text(200, "job stopped successfully")


# --- services and use -------------------------------------------------------------------------------------------


async def get_endpoints(context: Context, _request: web.Request, job: OwnedJob) -> web.Response:
    """Where exposed ports are reached; 400 is what clients take for "not yet"."""
    services = await context.port.services(job.address)
    if not services:
        return text(400, NOT_EXPOSED)
    return json_answer(documents.endpoints(services))


def stats_route(history: StatHistory) -> Callable[[Context, web.Request, OwnedJob], Awaitable[web.Response]]:
    """Samples of a span of time, oldest first."""

    async def get_stats(_context: Context, request: web.Request, job: OwnedJob) -> web.Response:
        try:
            interval = parse_interval(request.query.get("interval"))
            start = parse_moment(request.query.get("start"))
            end = parse_moment(request.query.get("end"))
        except ValueError as wrong:
            return text(400, str(wrong))
        samples = history.between(job.address, start, end, interval)
        return json_answer([documents.stat(sample) for sample in samples])

    return get_stats


# --- what this node does not offer ------------------------------------------------------------------------------


async def no_shell(_context: Context, _request: web.Request, _job: OwnedJob) -> web.Response:
    """No job of this node has a shell."""
    return json_answer({"error": NO_SHELL}, 404)
