"""`gpunode stop`: end the agent."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from node.cli import output
from node.cli.options import JsonOption, SettingsOption

POLL_SECONDS = 0.2


def stop(
    quit_jobs: Annotated[
        bool, typer.Option("--quit", help="Give the jobs at hand back, unpaid, and leave the queue.")
    ] = False,
    wait: Annotated[float, typer.Option("--wait", min=0, metavar="SECONDS", help="How long to wait for the end.")] = 60,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """End the agent; a running job goes on, unless --quit.

    The next start takes up what runs in its containers.

    JSON: `stopped`, `quit`.
    """
    from node.api.client import ControlClient
    from node.api.control import answers
    from node.cli import place
    from node.errors import ControlError

    socket = place.load(settings).locations.control_socket

    async def ask() -> bool:
        async with ControlClient(socket) as client:
            await (client.stop_and_quit() if quit_jobs else client.stop())
        for _ in range(int(wait / POLL_SECONDS)):
            if not await asyncio.to_thread(answers, socket):
                return True
            await asyncio.sleep(POLL_SECONDS)
        return not await asyncio.to_thread(answers, socket)

    ended = place.run(ask())
    if not ended and wait:
        raise ControlError(
            f"the agent is still stopping after {wait:g} s", hint="its log says what it waits for; see `gpunode status`"
        )
    output.emit(
        {"stopped": ended, "quit": quit_jobs},
        as_json,
        lambda: output.line("the agent has stopped" if ended else "the agent is stopping"),
    )
