"""A small work proof before the demo's job, so that its receipt names one."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol

from node.api.client import ControlClient
from node.localnet.command import Command

SECONDS = 60.0
"""For which it is waited for: its memo is final after some 13 s."""


class Screen(Protocol):
    """Where it is said what happens."""

    def step(self, text: str) -> None: ...

    def detail(self, text: str) -> None: ...

    def progress(self, text: str) -> None: ...


def proving(command: Command, wanted: bool) -> Command:
    """The agent's command: with the smallest of proofs, or with none, which would keep a processor from the job."""
    if not wanted:
        return command.given("GPUNODE_WORK_PROOF__ENGINE", "off")
    return command.given("GPUNODE_WORK_PROOF__SECONDS", "1").given("GPUNODE_WORK_PROOF__SIZE", "256")


async def await_proof(agent: ControlClient, screen: Screen) -> dict[str, Any] | None:
    """The proof once it is made; None, and why, where none is."""
    screen.step("Work proof, while the lane waits for a job")
    until = time.monotonic() + SECONDS
    why = ""
    while time.monotonic() < until:
        (lane,) = (await agent.proofs())["work"]
        made: dict[str, Any] | None = lane["newest"]
        why = str(lane["why"])
        if made is not None:
            screen.detail(f"engine {made['engine']}, size {made['size']}, {made['rounds']} rounds of exact products")
            screen.detail(f"root {made['root']} anchored by {made['signature']}")
            screen.detail("one second is too short for a rate: block times are whole seconds")
            return made
        if lane["engine"] is None:
            break
        screen.progress(why)
        await asyncio.sleep(0.2)
    screen.detail(f"none: {why}")
    return None
