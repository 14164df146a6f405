"""Jobs that fill the host's disk, or make it slow to clear away."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from node.records import OperationStatus
from tests.hostile import host
from tests.hostile.arena import Arena
from tests.hostile.images import Entry

pytestmark = [pytest.mark.docker, pytest.mark.hostile]

MIB = 1024**2
LIMIT = 64 * MIB
OVERSHOOT = 2000 * MIB
"""What may be written between two looks of the guard; a quota allows none of it."""
TAKEN = "3000"
"""MiB that the attack takes at the most, should nothing stop it."""


def data_root(arena: Arena) -> Path:
    """The folder of the engine's data."""
    return Path(arena.client.info()["DockerRootDir"])


@pytest.mark.brief
async def test_disk_fill_of_the_root_file_system(arena: Arena) -> None:
    await _fill(arena, "file-fill", "/fill", TAKEN, "8")


async def test_disk_fill_with_deleted_files(arena: Arena) -> None:
    fill = "i=0; while [ $i -lt 48 ]; do dd if=/dev/zero bs=1M count=64 >&3; i=$((i+1)); done; sleep 8"
    script = f"exec 3>/tmp/x; rm /tmp/x; {fill}"
    await _fill(arena, command=("/bin/sh", "-c", script))


async def test_disk_fill_in_many_files(arena: Arena) -> None:
    script = "i=0; while [ $i -lt 60 ]; do dd if=/dev/zero of=/tmp/$i bs=1M count=50; i=$((i+1)); done; sleep 8"
    await _fill(arena, command=("/bin/sh", "-c", script))


async def test_disk_fill_of_an_anonymous_volume(arena: Arena) -> None:
    image = arena.image(changes=('VOLUME ["/bulk"]',))
    await _fill(arena, "file-fill", "/bulk/fill", TAKEN, "8", image=image)
    assert arena.client.volumes()["Volumes"] in ([], None), "the volume goes with its container"


async def test_disk_fill_through_the_files_that_the_engine_mounts(arena: Arena) -> None:
    await _fill(arena, "file-fill", "/etc/hosts", TAKEN, "8")


async def test_sparse_file_that_becomes_real(arena: Arena) -> None:
    await _fill(arena, "sparse", "/tmp/sparse", "1024", TAKEN, "8")


@pytest.mark.brief
async def test_inode_fill(arena: Arena) -> None:
    free = host.free_inodes(data_root(arena))
    attack = await arena.fight(
        "many-files", "/tmp/many", "200000", "8", limits={"inodes": 5000}, watch=data_root(arena)
    )
    assert attack.ended.status is OperationStatus.FAILED
    # gVisor holds open every file that the job made, and runs into a limit of its own first.
    assert any("limit" in error.message for error in attack.ended.errors) or arena.runtime == "runsc"
    assert free - attack.least_free_inodes < 150_000
    assert free - host.free_inodes(data_root(arena)) < 2000, "given back"


async def test_deep_and_many_folders_do_not_hold_up_removal(arena: Arena) -> None:
    script = (
        "mkdir /tmp/deep; cd /tmp/deep; i=0; while [ $i -lt 400 ]; do mkdir d && cd d || break; i=$((i+1)); done;"
        "/bin/attack many-files /tmp/many 60000; chmod 0 /tmp/many; echo made"
    )
    ended: list[float] = []

    async with arena.fighting(command=("/bin/sh", "-c", script)) as attack:
        while attack.state is None:
            await attack.tick()
        ended.append(time.monotonic())
    assert time.monotonic() - ended[0] < 20
    assert attack.lag < 1.0


async def test_device_files_of_the_image_are_not_the_disk(arena: Arena) -> None:
    """A FIFO, a link to /dev/full and a file full of holes in the image do not confuse the guard."""
    image = arena.image(
        Entry("pipe", kind=b"6", mode=0o666),
        Entry("loop", kind=b"2", link="loop"),
        Entry("up", kind=b"2", link="../../../../../../../../"),
    )
    attack = await arena.fight("many-files", "/tmp/many", "100", "2", image=image, limits={"disk_bytes": LIMIT})
    assert attack.ended.status is OperationStatus.SUCCESS, "nothing outside was counted"


async def _fill(arena: Arena, *words: str, **spec: object) -> None:
    root = data_root(arena)
    free = host.free_bytes(root)
    attack = await arena.fight(*words, limits={"disk_bytes": LIMIT, "memory_bytes": 512 * MIB}, watch=root, **spec)
    assert free - attack.least_free < OVERSHOOT + LIMIT
    assert attack.ended.status is OperationStatus.FAILED or attack.ended.exit_code == 0
    assert free - host.free_bytes(root) < 64 * MIB, "given back"
    assert attack.lag < 1.0
