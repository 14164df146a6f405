"""The download helper as a process: what it makes of nonsense, and what bounds it has."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from pathlib import Path

import pytest

from node.content.resources import helper as helper_room
from node.content.resources.process import helper_command, running_helper
from node.content.resources.wire import Answer, Bounds, Event, Login, Request
from node.errors import ResourceFailed
from node.plan_records import ResourceKind

BOUNDS = Bounds(total_bytes=1, files=1, parallel=1, patience=1, longest=1)


async def spoken(line: bytes) -> tuple[list[Event], int]:
    """What the helper says to a line and the end of its input, and how it ends."""
    process = await asyncio.create_subprocess_exec(
        *helper_command(), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate(line)
    assert process.returncode is not None
    return [Event.model_validate_json(each) for each in said.splitlines()], process.returncode


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"{}\n",
        b'{"kind": "S3", "login": {"secret_key": "WORD"}, "more": 1}\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
    ],
)
async def test_requests_that_make_no_sense(line: bytes) -> None:
    (event,), code = await spoken(line)
    assert (event.event, event.message) == ("failed", "the request for the download helper makes no sense")
    assert code == 0


async def test_it_ends_with_its_input() -> None:
    assert await spoken(b"") == ([], 1)


async def test_it_serves_nobody_but_its_parent() -> None:
    command = [*helper_command()[:-1], "1"]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert (await process.communicate(b"{}\n"))[0] == b""
    assert process.returncode == 1


async def test_its_bounds(tmp_path: Path) -> None:
    async with running_helper(lambda host, port: False) as helper:
        pid = helper._process.pid
        async with asyncio.timeout(10):
            while resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] != helper_room.OPEN_FILES:
                await asyncio.sleep(0.02)
        assert resource.prlimit(pid, resource.RLIMIT_DATA)[0] == helper_room.MEMORY_BYTES
        assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
        assert os.getsid(pid) == pid
    assert not Path(f"/proc/{pid}").exists()


def test_a_login_is_shown_by_nothing() -> None:
    request = Request(
        kind=ResourceKind.HF, bounds=BOUNDS, login=Login(token="WORD", secret_key="WORD"), server="http://x"
    )
    assert "WORD" not in repr(request) + str(request) + repr(Answer())
    assert "WORD" in request.model_dump_json()


async def test_a_helper_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ResourceFailed, match="cannot be started"):
        async with running_helper(lambda host, port: False):
            pass
