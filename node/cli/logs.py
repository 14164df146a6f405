"""`gpunode logs`: what a job's containers wrote."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.bounded_json import read_json
from node.cli import output
from node.cli.options import JsonOption, SettingsOption

if TYPE_CHECKING:
    from node.settings import Settings

POLL_SECONDS = 0.5
TAIL_LINE = 1 << 20
"""Bytes of a line still being written that are held at most."""
_AT_WORK = ("fetch", "admit", "run")

Known = dict[str, Any]


def logs(
    job: Annotated[str, typer.Argument(help="Address of a job or of its run.", metavar="JOB")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job's work is over.")] = False,
    operation: Annotated[
        str | None,
        typer.Option(
            "--operation", "--op", metavar="ID", help="Only this operation, by id or number.", show_default=False
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Only from then on: 10m, 2h or 2026-03-01.", show_default=False),
    ] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what a job's containers wrote.

    With -f it goes on over a restart of the agent.

    JSON: `job`, `entries` (`operation`, `type`: stdout, stderr, nodeerr, `log`, `timestamp`); with -f one entry a line.
    """
    from node.cli import place
    from node.cli.jobs import moment_of

    loaded = place.load(settings)
    reading = _Reading(loaded, job, operation, moment_of(since, time.time()))

    async def collect() -> list[Known]:
        entries = []
        async for entry in reading.followed() if follow else reading.once():
            if as_json and not follow:
                entries.append(entry)
            else:
                _print(entry, as_json)
        return entries

    entries = place.run(collect())
    if as_json and not follow:
        output.document({"job": job, "entries": entries})


def _print(entry: Known, as_json: bool) -> None:
    if as_json:
        output.json_line(entry)
    else:
        # A job's output is a stranger's: it may not move the cursor or rename the window.
        text = "\n".join(output.printable(part.replace("\t", "    ")) for part in entry["log"].split("\n"))
        sys.stdout.write(text)
        sys.stdout.flush()


class _Reading:
    """Reads one job's log, each line once, from wherever it can be had."""

    def __init__(
        self,
        settings: Settings,
        job: str,
        operation: str | None,
        since: float | None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sleep = sleep
        self._settings = settings
        self._job = job
        self._operation = operation
        self._since = None if since is None else datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
        self._offsets: dict[int, int] = {}
        """By the file's place among the job's: how much of it was read."""

    async def once(self) -> AsyncIterator[Known]:
        """All that is kept."""
        from node.api.client import ControlClient, NoAgent

        try:
            async with ControlClient(self._settings.locations.control_socket) as client:
                await client.job(self._job)
                async for entry in self._from_agent(client):
                    yield entry
        except NoAgent:
            for entry in await self._from_files():
                yield entry

    async def followed(self) -> AsyncIterator[Known]:
        """All that is kept and then what comes, until the job's work is over; an agent that is away is waited for."""
        from node.api.client import AgentSilent, ControlClient, NoAgent
        from node.cli.agent_state import read_job

        is_away = False
        while True:
            try:
                async with ControlClient(self._settings.locations.control_socket) as client:
                    while True:
                        # Asked before the files are read: what was written before the end is read in the same turn.
                        known = await client.job(self._job)
                        is_away = False
                        async for entry in self._from_agent(client):
                            yield entry
                        if _is_over(known):
                            return
                        await self._sleep(POLL_SECONDS)
            except AgentSilent:
                await self._sleep(POLL_SECONDS)
            except NoAgent:
                if not self._offsets and _is_over(await read_job(self._settings, self._job)):
                    for entry in await self._from_files():
                        yield entry
                    return
                if not is_away:
                    output.note("the agent is away; the log goes on when it is back (Ctrl-C ends this)")
                is_away = True
                await self._sleep(POLL_SECONDS)

    async def _from_agent(self, client: Any) -> AsyncIterator[Known]:
        """What its files have beyond what was read."""
        names = await self._names(client)
        for file in (await client.log_files(self._job))["files"]:
            place = int(file["operation"])
            number = _number_of(Path(file["path"]), place)
            if self._operation not in (None, str(number), names.get(number)):
                continue
            lines = _Lines(client, self._job, place, self._offsets.get(place, 0))
            async for line in lines.read():
                if (entry := _entry(line, number)) and self._is_wanted(entry):
                    yield entry
                # Kept line by line: what was shown is not shown again when the agent goes away in between.
                self._offsets[place] = lines.offset
            self._offsets[place] = lines.offset

    async def _names(self, client: Any) -> dict[int, str]:
        if self._operation is None:
            return {}
        known = await client.job(self._job)
        return {item["index"]: item["id"] for item in known["runs"][0]["operations"]}

    async def _from_files(self) -> list[Known]:
        """The kept files, named by the journal, or by the job's address where an operation has not ended."""
        from node.cli.agent_state import read_job

        known = await read_job(self._settings, self._job)
        names = {item["index"]: item["id"] for item in known["runs"][0]["operations"]}
        found: list[tuple[int, Path]] = []
        for path in self._settings.locations.logs.glob(f"{known['job']}-*.jsonl"):
            number = _number_of(path, -1)
            if number >= 0 and self._operation in (None, str(number), names.get(number)):
                found.append((number, path))
        entries = []
        for number, file in sorted(found):
            with file.open("rb") as lines:
                entries += [entry for line in lines if (entry := _entry(line, number)) and self._is_wanted(entry)]
        return entries

    def _is_wanted(self, entry: Known) -> bool:
        from node.container.log import order_key

        return self._since is None or order_key(entry["timestamp"]) >= self._since


class _Lines:
    """Whole lines of one operation's log, from an offset on."""

    def __init__(self, client: Any, job: str, index: int, offset: int) -> None:
        self.offset = offset
        self._client = client
        self._job = job
        self._index = index

    async def read(self) -> AsyncIterator[bytes]:
        """Lines up to the last whole one; `offset` is behind the one that was given."""
        rest = b""
        while piece := await self._client.log_bytes(self._job, self._index, self.offset + len(rest)):
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                self.offset += len(line) + 1
                yield line
            if len(rest) > TAIL_LINE:
                self.offset, rest = self.offset + len(rest), b""


def _is_over(known: Known) -> bool:
    return known["runs"][0]["stage"] not in _AT_WORK


def _number_of(path: Path, otherwise: int) -> int:
    """An operation's number, which its log file's name ends with."""
    digits = path.stem.rpartition("-")[2]
    return int(digits) if digits.isascii() and digits.isdigit() else otherwise


def _entry(line: bytes, index: int) -> Known | None:
    try:
        body = read_json(line, limit=4 * TAIL_LINE, depth=2)
        return {"operation": index, **{name: str(body[name]) for name in ("type", "log", "timestamp")}}
    except (ValueError, KeyError, TypeError):
        return None
