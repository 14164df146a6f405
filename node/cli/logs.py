"""`gpunode logs`: what a job's containers wrote."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
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


def logs(
    job: Annotated[str, typer.Argument(help="Address of a job or of its run.", metavar="JOB")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job is over.")] = False,
    operation: Annotated[
        int | None, typer.Option("--operation", min=0, metavar="INDEX", help="Only this operation.")
    ] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what a job's containers wrote.

    JSON: `job`, `entries` (`operation`, `type`: stdout, stderr, nodeerr, `log`, `timestamp`); with -f one entry a line.
    """
    from node.cli import place

    loaded = place.load(settings)

    async def collect() -> list[dict[str, Any]]:
        entries = []
        async for entry in _entries(loaded, job, operation, follow):
            if as_json and not follow:
                entries.append(entry)
            else:
                _print(entry, as_json)
        return entries

    entries = place.run(collect())
    if as_json and not follow:
        output.document({"job": job, "entries": entries})


def _print(entry: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.json_line(entry)
    else:
        # A job's output is a stranger's: it may not move the cursor or rename the window.
        text = "\n".join(output.printable(part.replace("\t", "    ")) for part in entry["log"].split("\n"))
        sys.stdout.write(text)
        sys.stdout.flush()


async def _entries(settings: Settings, job: str, operation: int | None, follow: bool) -> AsyncIterator[dict[str, Any]]:
    from node.api.client import ControlClient, NoAgent

    try:
        async with ControlClient(settings.locations.control_socket) as client:
            async for entry in _from_agent(client, job, operation, follow):
                yield entry
    except NoAgent:
        for entry in await _from_files(settings, job, operation):
            yield entry


async def _from_agent(client: Any, job: str, operation: int | None, follow: bool) -> AsyncIterator[dict[str, Any]]:
    """Entries as they come; operation by operation without `follow`, as written with it."""
    offsets: dict[int, int] = {}
    while True:
        # Asked before the files are read: what was written before the end is then read in the same turn.
        over = not follow or _over(await client.job(job))
        for file in (await client.log_files(job))["files"]:
            index = file["operation"]
            if operation in (None, index):
                reader = _Lines(client, job, index, offsets.get(index, 0))
                async for entry in reader.read():
                    yield entry
                offsets[index] = reader.offset
        if over:
            return
        await asyncio.sleep(POLL_SECONDS)


class _Lines:
    """Whole lines of one operation's log, from an offset on."""

    def __init__(self, client: Any, job: str, index: int, offset: int) -> None:
        self.offset = offset
        self._client = client
        self._job = job
        self._index = index

    async def read(self) -> AsyncIterator[dict[str, Any]]:
        """Entries up to the last whole line; `offset` moves behind it."""
        rest = b""
        while piece := await self._client.log_bytes(self._job, self._index, self.offset + len(rest)):
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                self.offset += len(line) + 1
                if entry := _entry(line, self._index):
                    yield entry
            if len(rest) > TAIL_LINE:
                self.offset, rest = self.offset + len(rest), b""


def _over(known: dict[str, Any]) -> bool:
    return known["runs"][0]["stage"] not in ("fetch", "admit", "run")


async def _from_files(settings: Settings, job: str, operation: int | None) -> list[dict[str, Any]]:
    """The kept files, named by the journal, or by the job's address where an operation has not ended."""
    from node.cli.agent_state import read_job

    known = (await read_job(settings, job))["job"]
    found: list[tuple[int, Path]] = []
    for path in settings.locations.logs.glob(f"{known}-*.jsonl"):
        index = path.stem.removeprefix(f"{known}-")
        if index.isdigit() and operation in (None, int(index)):
            found.append((int(index), path))
    entries = []
    for number, file in sorted(found):
        with file.open("rb") as lines:
            entries += [entry for line in lines if (entry := _entry(line, number))]
    return entries


def _entry(line: bytes, index: int) -> dict[str, Any] | None:
    try:
        body = read_json(line, limit=4 * TAIL_LINE, depth=2)
        return {"operation": index, **{name: str(body[name]) for name in ("type", "log", "timestamp")}}
    except (ValueError, KeyError, TypeError):
        return None
