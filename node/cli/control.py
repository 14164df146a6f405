"""What the commands to a running agent share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli import output

if TYPE_CHECKING:
    from node.api.client import ControlClient
    from node.api.documents import Document


def act(settings: Path | None, command: Callable[[ControlClient], Awaitable[Document]], as_json: bool) -> None:
    """Give the agent a command and print the lanes as they then are (`{"lanes": [lane]}`)."""
    from node.api.client import ControlClient
    from node.cli import place

    socket = place.load(settings).locations.control_socket

    async def ask() -> Document:
        async with ControlClient(socket) as client:
            return await command(client)

    answer = place.run(ask())
    rows = [[lane["lane"], lane["phase"], lane["reason"]] for lane in answer["lanes"]]
    output.emit(answer, as_json, lambda: output.table(["lane", "state", "why"], rows))
