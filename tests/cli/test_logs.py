"""`gpunode logs -f`: live until the job's work is over, and over an agent that goes away and comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.api.control import ControlServer
from node.cli import logs
from node.journal.journal import Journal
from node.records import JobSummary, SettleKind, Settlement, Stage
from node.settings import Settings
from tests.api.double import JOB, DoublePort
from tests.cli.conftest import Shell
from tests.journal.samples import assignment


def entry(text: str, second: int = 0, kind: str = "stdout") -> str:
    return json.dumps({"type": kind, "log": text, "timestamp": f"2026-01-01T00:00:{second:02d}Z"}) + "\n"


class Agent(DoublePort):
    """A double whose job is at work until it is told otherwise."""

    stage = Stage.RUN
    silent = False

    async def job(self, address: str) -> tuple[JobSummary, ...]:
        if self.silent:
            raise asyncio.CancelledError  # as a server that ends in the middle of a request
        return tuple(replace(each, stage=self.stage) for each in await super().job(address))


@pytest.fixture
def settings(shell: Shell) -> Settings:
    from node.settings_source import load_settings

    return load_settings(shell.init())


@pytest.fixture
def log(settings: Settings) -> Path:
    folder = settings.locations.logs
    folder.mkdir(parents=True)
    return folder / f"{JOB}-0.jsonl"


async def test_it_goes_on_over_a_restart_of_the_agent_and_ends_with_the_work(
    settings: Settings, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = Agent((log,))
    server = ControlServer(agent, settings.locations.control_socket)
    log.write_text(entry("one\n") + entry("two\n", 1) + '{"torn')
    await server.start()
    turns: list[Callable[[], Any]] = []

    async def sleep(_seconds: float) -> None:
        await turns.pop(0)()

    async def go_away() -> None:
        await server.aclose()
        log.write_text(entry("one\n") + entry("two\n", 1) + entry("three\n", 2))

    async def nothing() -> None:
        pass

    async def come_back() -> None:
        nonlocal server
        server = ControlServer(agent, settings.locations.control_socket)
        await server.start()

    async def fall_silent() -> None:
        agent.silent = True

    async def speak() -> None:
        agent.silent = False

    async def end() -> None:
        agent.stage = Stage.REPORT
        with log.open("a") as file:
            file.write(entry("four\n", 3))

    turns += [fall_silent, speak, go_away, nothing, come_back, end]
    reading = logs._Reading(settings, JOB, None, None, sleep)
    said = [each["log"] async for each in reading.followed()]
    await server.aclose()
    assert said == ["one\n", "two\n", "three\n", "four\n"]
    assert turns == []
    assert capsys.readouterr().err.count("the agent is away") == 1


async def collected(entries: AsyncIterator[dict[str, Any]]) -> list[str]:
    return [each["log"] async for each in entries]


@pytest.mark.parametrize(("operation", "said"), [(None, 2), ("hello", 2), ("0", 2), ("other", 0), ("1", 0)])
async def test_one_operation_by_its_id_or_number(settings: Settings, log: Path, operation: str, said: int) -> None:
    log.write_text(entry("one\n") + entry("two\n", 1))
    async with ControlServer(DoublePort((log,)), settings.locations.control_socket):
        assert len(await collected(logs._Reading(settings, JOB, operation, None).followed())) == said


async def test_from_a_moment_on(settings: Settings, log: Path) -> None:
    log.write_text(entry("one\n") + entry("two\n", 30))
    async with ControlServer(DoublePort((log,)), settings.locations.control_socket):
        # 2026-01-01T00:00:10Z
        assert await collected(logs._Reading(settings, JOB, None, 1_767_225_610.0).once()) == ["two\n"]


async def test_without_an_agent_a_job_that_is_over_is_not_waited_for(settings: Settings, log: Path) -> None:

    log.write_text("")
    a = assignment()
    (settings.locations.logs / f"{a.job.address}-0.jsonl").write_text(entry("kept\n"))
    async with await Journal.open(settings.locations.journal) as journal:
        await journal.begin_job(a)
        await journal.settle(a.run.address, Settlement(a.job.address, SettleKind.QUIT, None, 1, 0, None, "", 0))
    assert await collected(logs._Reading(settings, a.job.address, None, None).followed()) == ["kept\n"]
