"""Jobs that want more processes, memory, descriptors or processor time than they were given."""

from __future__ import annotations

import asyncio
import ctypes
import os
from pathlib import Path

import pytest

from node.records import OperationStatus
from tests.container.operations import LIMITS
from tests.hostile import host
from tests.hostile.arena import Arena, Attack

pytestmark = [pytest.mark.docker, pytest.mark.hostile]

MIB = 1024**2
RUNTIME_TASKS = 64
"""Threads that a runtime itself may have within the job's limits, and that are no processes of the job."""


@pytest.mark.brief
async def test_fork_bomb(arena: Arena) -> None:
    attack = await arena.fight("fork-bomb", "2000", "2")
    assert attack.tasks <= LIMITS.pids + RUNTIME_TASKS
    # gVisor may be over before it was looked at: its kernel ends when it may have no more threads.
    assert attack.tasks > 10 or arena.runtime == "runsc"
    assert attack.lag < 1.0


async def test_thread_bomb(arena: Arena) -> None:
    attack = await arena.fight("thread-bomb", "2000")
    assert attack.tasks <= LIMITS.pids + RUNTIME_TASKS
    # gVisor may be over before it was looked at: its kernel ends when it may have no more threads.
    assert attack.tasks > 10 or arena.runtime == "runsc"


@pytest.mark.parametrize("how", [pytest.param("memory", marks=pytest.mark.brief), "memfd", "sysv", "buffers"])
async def test_memory_fill(arena: Arena, how: str) -> None:
    swap = _swap_free()
    attack = await arena.fight(how, "1024" if how != "buffers" else "400")
    assert attack.memory <= LIMITS.memory_bytes
    assert abs(_swap_free() - swap) < 8 * MIB, "a job may not push anything into swap"
    assert attack.ended.status is not None


async def test_shared_memory_is_bounded_by_itself(arena: Arena) -> None:
    attack = await arena.fight("file-fill", "/dev/shm/fill", "256")
    assert attack.memory <= LIMITS.shm_bytes + 64 * MIB
    assert attack.ended.exit_code == 1


async def test_page_cache_is_the_jobs_own(arena: Arena) -> None:
    attack = await arena.fight("file-fill", "/tmp/fill", "300")
    assert attack.memory <= LIMITS.memory_bytes


async def test_open_files(arena: Arena) -> None:
    before = host.open_files()

    async def look(attack: Attack) -> None:
        await attack.until_said("opened")
        assert host.open_files() - before < LIMITS.open_files + 4096

    attack = await arena.fight("open-files", look=look)
    assert int(attack.said().rsplit("opened ")[-1]) <= LIMITS.open_files


@pytest.mark.brief
async def test_processor_hog_with_priorities(arena: Arena) -> None:
    used: list[float] = []

    async def look(attack: Attack) -> None:
        assert attack.group is not None
        await attack.until_said("ioprio_set")
        loop = asyncio.get_running_loop()
        begin, first = loop.time(), attack.group.processor_seconds()
        await asyncio.sleep(1.2)
        used.append((attack.group.processor_seconds() - first) / (loop.time() - begin))
        for pid in host.processes_of(attack.id):
            for task in _tasks(pid):
                assert os.sched_getscheduler(task) == os.SCHED_OTHER
                assert os.getpriority(os.PRIO_PROCESS, task) >= 0

    await arena.fight("cpu-hog", "3", look=look, limits={"cpus": 0.5})
    assert used[0] < 0.75


async def test_oom_score(arena: Arena) -> None:
    async def look(attack: Attack) -> None:
        await attack.until_said("waiting")
        pids = [pid for pid in host.processes_of(attack.id) if host.status(pid).get("Name") != "docker-init"]
        scores = [int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in pids]
        assert scores
        assert min(scores) >= 0, "no process of a job may outlive one of the host's"

    await arena.fight("oom-score", look=look)


async def test_core_dumps(arena: Arena) -> None:
    free = host.free_bytes(arena.data)
    attack = await arena.fight("core-dumps", "30")
    assert attack.said().endswith("dumped 0\n")
    assert free - host.free_bytes(arena.data) < 64 * MIB


async def test_entropy(arena: Arena) -> None:
    attack = await arena.fight("entropy", "16")
    assert "ok" not in attack.answers().values()
    assert len(os.urandom(4096)) == 4096


async def test_zombies(arena: Arena) -> None:
    attack = await arena.fight("zombies", "1000")
    assert attack.tasks <= LIMITS.pids + RUNTIME_TASKS
    # gVisor has no zombies of the host: its own kernel ends when it may have no more threads.
    assert attack.ended.status is OperationStatus.SUCCESS or arena.runtime == "runsc"


async def test_quotas_of_a_user(arena: Arena) -> None:
    """The kernel counts some things for each user, and without mapped users a job's root is the host's."""
    libc = ctypes.CDLL(None, use_errno=True)
    made: list[int] = []

    async def look(attack: Attack) -> None:
        await attack.until_said("inotify instances")
        made.append(libc.inotify_init1(0))
        if made[0] >= 0:
            os.close(made[0])

    await arena.fight("user-quotas", "4096", "1", look=look)
    if made[0] < 0 and arena.runtime == "runc" and not _has_mapped_users(arena):
        pytest.xfail("without mapped users or gVisor, a job as root can take all inotify instances of the host's root")
    assert made[0] >= 0


def _has_mapped_users(arena: Arena) -> bool:
    return any("userns" in option for option in arena.client.info()["SecurityOptions"])


def _tasks(pid: int) -> list[int]:
    try:
        return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def _swap_free() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("SwapFree:"):
            return int(line.split()[1]) * 1024
    return 0
