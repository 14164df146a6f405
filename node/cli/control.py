"""What the commands to a running agent share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli import output

if TYPE_CHECKING:
    from node.api.client import ControlClient
    from node.api.documents import Document


SETTLE_SECONDS = 3.0
"""How long lanes may take to act on a command before they are shown as they are."""
CALM_SECONDS = 0.5
"""How long a lane that changed must stay as it is."""
POLL_SECONDS = 0.1


def act(settings: Path | None, command: Callable[[ControlClient], Awaitable[Document]], as_json: bool) -> None:
    """Give the agent a command and print the lanes as they then are (`{"lanes": [lane]}`)."""
    from node.api.client import ControlClient
    from node.cli import place

    socket = place.load(settings).locations.control_socket

    async def ask() -> Document:
        async with ControlClient(socket) as client:
            return await _settled(client, await command(client))

    answer = place.run(ask())
    rows = [[lane["lane"], lane["phase"], lane["reason"]] for lane in answer["lanes"]]
    output.emit(answer, as_json, lambda: output.table(["lane", "state", "why"], rows))


async def _settled(client: ControlClient, answer: Document) -> Document:
    """The lanes once they have acted on a command, which takes them a moment: leaving a queue is a transaction.

    A lane with a job goes on with it whatever it was told, and is not waited for.
    """
    told = {lane["lane"] for lane in answer["lanes"]}
    if all(lane["job"] is not None for lane in answer["lanes"]):
        return answer
    lanes, calm = answer["lanes"], 0
    for _ in range(round(SETTLE_SECONDS / POLL_SECONDS)):
        await asyncio.sleep(POLL_SECONDS)
        now = [lane for lane in (await client.status())["lanes"] if lane["lane"] in told]
        calm = calm + 1 if now == lanes else 0
        lanes = now
        if lanes != answer["lanes"] and calm >= CALM_SECONDS / POLL_SECONDS:
            break
    return {**answer, "lanes": lanes}
