"""The embedded chain as a service: runs until it is told to stop (SIGINT or SIGTERM), then saves its state."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

from node.localnet.app import Localnet
from node.localnet.memory import give_back
from node.localnet.options import LocalnetOptions


async def serve(options: LocalnetOptions, on_ready: Callable[[dict[str, Any]], None]) -> None:
    """Run a chain; `on_ready` is called once with its description (see `Localnet.describe`) when it answers.

    Raises LocalnetError as `Localnet.start` does, and where the state cannot be saved.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        async with Localnet.start(options) as net:
            on_ready(net.describe())
            give_back()
            await stop.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
