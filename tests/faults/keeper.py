"""Keeps an agent process alive, as a service manager does: whenever it is killed it is started again."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from node.api.client import ControlClient
from node.errors import ControlError
from tests.faults.order import Post

T = TypeVar("T")
ROOT = Path(__file__).parents[2]


class Loss(AssertionError):
    """Something that must never happen."""


class Keeper:
    """One agent, life after life."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.post = Post(folder)
        self.data = Path(settings["paths"]["data"])
        self.client = ControlClient(Path(settings["paths"]["control_socket"]))
        self.deaths = 0
        """Lives ended by SIGKILL."""
        self._settings = settings
        self._file = folder / "settings.yaml"
        self._file.write_text(json.dumps(settings))
        self._wanted = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._failure = ""
        self._may_end = False

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.data / "journal.sqlite"

    def start(self) -> None:
        """Have an agent run from now on."""
        self._idle.clear()
        self._wanted.set()

    async def stop(self) -> None:
        """SIGTERM; returns when no agent runs. One that is killed on its way out is not started again."""
        self._wanted.clear()
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(self._idle.wait(), 150)

    async def change(self, **sections: Any) -> None:
        """Stop the agent, and start it again with these sections of its settings instead."""
        await self.stop()
        self._settings = {**self._settings, **sections}
        self._file.write_text(json.dumps(self._settings))
        self.start()

    @property
    def is_idle(self) -> bool:
        """Whether no agent runs."""
        return self._idle.is_set()

    def allow_end(self) -> None:
        """The agent may end by itself, once, and is not started again then; killed, it is."""
        self._may_end = True

    def kill(self) -> None:
        """kill -9 now."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def told(self, word: Callable[[ControlClient], Awaitable[T]], seconds: float = 150.0) -> T:
        """What an agent answers, whichever life of it."""
        until = time.monotonic() + seconds
        while True:
            self.check()
            try:
                return await word(self.client)
            except ControlError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.05)

    def check(self) -> None:
        """Raise Loss when the agent has ended in a way nobody asked for."""
        if self._failure:
            raise Loss(self._failure)

    async def run(self) -> None:
        """Start it whenever it is wanted, until it ends in a way nobody asked for."""
        while True:
            await self._wanted.wait()
            with (self.folder / "agent.log").open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "tests.faults.agent", str(self._file), stderr=log, stdout=log, cwd=ROOT
                )
            code = await self._process.wait()
            if code == -signal.SIGKILL:
                self.deaths += 1
            elif code == 0 and self._may_end:
                self._may_end = False
                self._wanted.clear()
            elif code not in (0, -signal.SIGTERM) or self._wanted.is_set():
                # SIGTERM ends a process that has not come to listen for it.
                self._failure = f"the agent ended by itself with {code}; see {self.folder / 'agent.log'}"
                self._idle.set()
                return
            if not self._wanted.is_set():
                self._idle.set()

    async def close(self) -> None:
        """Leave no process behind."""
        self._wanted.clear()
        self.kill()
        if self._process is not None:
            await self._process.wait()
        await self.client.__aexit__(None, None, None)


@asynccontextmanager
async def kept(folder: Path, settings: dict[str, Any]) -> AsyncIterator[Keeper]:
    """A keeper whose agent is not started yet."""
    keeper = Keeper(folder, settings)
    running = asyncio.ensure_future(keeper.run())
    try:
        yield keeper
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await keeper.close()
