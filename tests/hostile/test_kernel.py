"""Jobs that call on the host's kernel for what is the host's business."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.hostile import host
from tests.hostile.arena import Arena, Attack

pytestmark = [pytest.mark.docker, pytest.mark.hostile]

ANYBODYS = {"prctl", "personality", "landlock", "lookup_dcookie", "io_uring_setup", "kcmp"}
"""Calls of the list that any user may make, and that concern the caller alone."""


@pytest.mark.brief
async def test_mounts(arena: Arena) -> None:
    token = f"hostile-{secrets.token_hex(6)}"

    async def look(attack: Attack) -> None:
        await attack.until_said("chroot")
        everywhere = [line for pid in _host_pids() for line in host.mounts(pid)]
        assert not [line for line in everywhere if token in line]

    attack = await arena.fight("mounts", token, look=look)
    if arena.runtime == "runc":
        assert {answer for name, answer in attack.answers().items() if "mount" in name} <= {"EPERM", "ENOSYS"}


@pytest.mark.brief
async def test_system_files(arena: Arena) -> None:
    """The host's view of the job's mounts: /proc/sys and /sys read-only, the rest hidden."""

    async def look(attack: Attack) -> None:
        await attack.until_said("waiting")
        if arena.runtime == "runsc":
            return
        options = {line.split()[4]: line.split()[5] for line in host.mounts(attack.pid)}
        for path in ("/proc/sys", "/proc/sysrq-trigger", "/proc/bus", "/proc/fs", "/proc/irq", "/sys"):
            assert not Path(path).exists() or "ro" in options[path].split(","), path
        for path in ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"):
            assert not Path(path).exists() or path in options, path
        # Where control groups have their first version, their mount point is an empty file system of the job's memory.
        writable = {path for path in options if path.startswith("/sys/") and "ro" not in options[path].split(",")}
        assert writable <= {"/sys/fs/cgroup"}

    attack = await arena.fight("system-files", look=look)
    if arena.runtime == "runc":
        opened = {name for name, answer in attack.answers().items() if answer == "ok"}
        # What is there is an empty device, an empty file system, or the job's own.
        assert opened <= {"mkdir cgroup2", "/proc/timer_list", "/proc/kcore", "/proc/kallsyms", "/proc/1/mem"}


@pytest.mark.brief
async def test_cgroup_release_agent(arena: Arena) -> None:
    token = f"hostile-{secrets.token_hex(6)}"
    attack = await arena.fight("release-agent", token)
    assert not [file for file in host.CGROUPS.glob("*/release_agent") if token in file.read_text()]
    assert "ok" not in {answer for name, answer in attack.answers().items() if name == "release_agent"}


@pytest.mark.brief
async def test_clock(arena: Arena) -> None:
    before = host.Host.now()
    attack = await arena.fight("clocks")
    before.assert_unchanged()
    assert "ok" not in attack.answers().values()


@pytest.mark.brief
async def test_privileged_system_calls(arena: Arena) -> None:
    before = host.Host.now()
    keys = Path("/proc/keys").read_text()
    attack = await arena.fight("calls")
    before.assert_unchanged()
    assert "hostile-key" not in Path("/proc/keys").read_text(), keys
    if arena.runtime == "runc":
        through = {name for name, answer in attack.answers().items() if answer == "ok"}
        assert through <= ANYBODYS, through


def _host_pids() -> list[int]:
    own = host.namespace("self", "mnt")
    return [pid for pid in host.all_processes() if host.namespace(pid, "mnt") == own][:50]
