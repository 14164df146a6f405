"""Jobs that will not end, that leave something running, or that reach for the processes of others."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from node.container.stop import StopSignal
from node.records import EndCause
from tests.hostile import host
from tests.hostile.arena import Arena, Attack

pytestmark = [pytest.mark.docker, pytest.mark.hostile]

SECRET = "the-key-of-somebody-else"
BYSTANDER = """
import os, signal, sys, time
secret = sys.argv[1]
hits = []
signal.signal(signal.SIGURG, lambda *_: hits.append(1))
print("ready", flush=True)
sys.stdin.readline()
print(len(hits), flush=True)
"""


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[str]]:
    """A process of the host's root: the agent, as far as a job can tell."""
    process = subprocess.Popen(
        (sys.executable, "-c", BYSTANDER, SECRET), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("how", [pytest.param("deaf", marks=pytest.mark.brief), "stopped"])
async def test_a_job_that_ignores_the_word_to_stop(arena: Arena, how: str) -> None:
    stop = StopSignal()
    async with arena.fighting(how, stop=stop) as attack:
        took = await arena.stop_after(attack, stop, "deaf" if how == "deaf" else "stopping myself")
    assert took < 20
    assert attack.ended.exit_code == 128 + signal.SIGKILL
    assert host.processes_of(attack.id) == []


async def test_stop_signal_of_the_image(arena: Arena) -> None:
    """An image may say which signal ends it: one that nothing obeys delays its end by the grace and no more."""
    stop = StopSignal()
    async with arena.fighting("deaf", image=arena.configured(StopSignal="SIGCONT"), stop=stop) as attack:
        assert await arena.stop_after(attack, stop, "deaf") < 20
    assert host.processes_of(attack.id) == []


async def test_daemons_do_not_outlive_the_job(arena: Arena) -> None:
    seen: list[int] = []

    async def look(attack: Attack) -> None:
        while attack.state is None:
            seen.append(len(host.by_name(attack.id, "hostile-daemon")))
            await attack.tick()

    attack = await arena.fight("daemons", "20", look=look)
    assert arena.runtime == "runsc" or max(seen) > 0, "they were there"
    assert host.processes_of(attack.id) == []


async def test_poster_stop_of_a_fork_bomb(arena: Arena) -> None:
    stop = StopSignal()
    async with arena.fighting("fork-bomb", "2000", "25", stop=stop) as attack:
        await asyncio.sleep(1)
        stop.request(EndCause.STOPPED)
    assert host.processes_of(attack.id) == []


@pytest.mark.brief
async def test_signals_ptrace_and_memory_of_host_processes(arena: Arena, bystander: subprocess.Popen[str]) -> None:
    async def look(attack: Attack) -> None:
        await attack.until_said("killed", 30)
        assert host.status(bystander.pid)["TracerPid"] == "0"

    attack = await arena.fight("kill-all", look=look)
    out, _ = bystander.communicate("\n")
    assert out == "0\n", "no signal came"
    assert SECRET not in attack.said()


async def test_a_jobs_process_namespace_is_its_own(arena: Arena, bystander: subprocess.Popen[str]) -> None:
    script = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ; ls -l /proc/1/root /proc/1/cwd; echo waiting; sleep 1"

    async def look(attack: Attack) -> None:
        await attack.until_said("waiting")
        if arena.runtime == "runc":
            for kind in ("pid", "net", "ipc", "mnt", "uts"):
                assert host.namespace(attack.pid, kind) != host.namespace(bystander.pid, kind), kind

    attack = await arena.fight(command=("/bin/sh", "-c", script), look=look)
    assert SECRET not in attack.said()
