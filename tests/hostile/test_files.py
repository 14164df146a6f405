"""Jobs that look for what is not theirs: devices, the host's disk, the engine's socket, the runtime's program."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import stat
from pathlib import Path

import pytest

from tests.hostile import host
from tests.hostile.arena import Arena, Attack
from tests.hostile.images import Entry, host_disk

pytestmark = [pytest.mark.docker, pytest.mark.hostile]

HARMLESS = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "mqueue", "console", "core"} | {
    "fd", "stdin", "stdout", "stderr", "init"
}  # fmt: skip


@pytest.mark.brief
async def test_device_nodes(arena: Arena) -> None:
    """Made by the job, and brought by the image: the host's disk, its memory, its kernel log, its virtual machines."""
    major, minor = host_disk()
    nodes = (
        Entry("disk", kind=b"4", mode=0o666, device=(major, minor)),
        Entry("mem", kind=b"3", mode=0o666, device=(1, 1)),
        Entry("kmsg", kind=b"3", mode=0o666, device=(1, 11)),
        Entry("kvm", kind=b"3", mode=0o666, device=(10, 232)),
        Entry("fuse", kind=b"3", mode=0o666, device=(10, 229)),
    )
    # An image with nodes is not even started on gVisor, of which some releases open them as the host's devices.
    image = arena.image(*(nodes if arena.runtime == "runc" else ()))
    beginning = _beginning_of_disk(major, minor)

    async def look(attack: Attack) -> None:
        await attack.until_said("waiting")
        if arena.runtime == "runc":
            assert {entry.name for entry in Path(f"/proc/{attack.pid}/root/dev").iterdir()} <= HARMLESS
        layer = Path(arena.client.inspect_container(attack.id)["GraphDriver"]["Data"]["UpperDir"])
        assert [file for file in layer.rglob("*") if _is_device(file)] == []

    attack = await arena.fight("devices", "/disk", "/mem", "/kmsg", "/kvm", "/fuse", image=image, look=look)
    assert beginning is None or beginning[:64].hex() not in attack.said()
    allowed = {name for name, answer in attack.answers().items() if answer == "ok"}
    if arena.runtime == "runsc":
        # Nodes of its own kernel, which has no such devices.
        allowed = {name for name in allowed if not name.startswith("mknod")}
    assert allowed <= {"read console"}, allowed


@pytest.mark.brief
async def test_engine_socket_search(arena: Arena, tmp_path: Path) -> None:
    before = {row["Id"] for row in arena.client.containers(all=True)}
    socket = str(arena.engine.socket)
    attack = await arena.fight("engine-socket", socket, "/var/run/docker.sock", "containerd-shim")
    after = {row["Id"] for row in arena.client.containers(all=True)}
    assert after == before
    assert not [row for row in arena.client.containers(all=True) if "/hostile-made" in row["Names"]]
    assert "sockets found 0" in attack.said()
    assert "ok" not in attack.answers().values()


@pytest.mark.brief
async def test_the_runtimes_own_programs(arena: Arena) -> None:
    """The container's first process is the host's program; whoever can write to it runs on the host the next time."""
    before = _runtimes()
    attack = await arena.fight("runtime", command=("/bin/attack", "runtime"))
    assert _runtimes() == before
    if arena.runtime == "runc":
        assert "ok" not in {answer for name, answer in attack.answers().items() if "init" in name or "/1/" in name}


async def test_entrypoint_is_the_runtime_itself(arena: Arena) -> None:
    before = _runtimes()
    image = arena.image(changes=('ENTRYPOINT ["/proc/self/exe"]', 'CMD ["init"]'))
    await arena.fight(image=image, command=None)
    assert _runtimes() == before


@pytest.mark.parametrize("descriptor", ["3", "7", "8", "9"])
async def test_working_directory_in_a_leaked_descriptor(arena: Arena, descriptor: str, tmp_path: Path) -> None:
    """A working directory of `/proc/self/fd/N` once stood outside the container (CVE-2024-21626)."""
    secret = tmp_path / "secret"
    secret.write_text(secrets.token_hex(16))
    climbs = [f"{'../' * 8}{secret}", f"{'../' * 4}proc/1/root{secret}", f"{'../' * 8}etc/shadow"]
    attack = await arena.fight("read", *climbs, work_dir=f"/proc/self/fd/{descriptor}")
    assert secret.read_text().encode().hex() not in attack.said()
    assert Path("/etc/shadow").read_bytes()[:32].hex() not in attack.said()


async def test_paths_that_climb_out(arena: Arena, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    token = secrets.token_hex(8)
    starts = ("/proc/1/root", "/../../../..", "/proc/self/root/..", "/proc/1/cwd", "")
    ways = [f"{start}{canary}" for start in starts]
    attack = await arena.fight("write", token, *ways, "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
    assert canary.read_text() == "untouched"
    for file in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf"):
        assert token not in Path(file).read_text()
    assert attack.answers()["/etc/hosts"] == "ok", "its own one"


async def test_links_of_the_image_where_the_engine_mounts(arena: Arena, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    up = "../" * 12
    image = arena.image(
        Entry("etc/resolv.conf", kind=b"2", link=f"{up}{canary}"),
        Entry("etc/hosts", kind=b"2", link=str(canary)),
        Entry("etc/hostname", kind=b"2", link=f"/proc/1/root{canary}"),
    )
    attack = await arena.fight("write", "hostile", "/etc/resolv.conf", "/etc/hosts", "/etc/hostname", image=image)
    assert canary.read_text() == "untouched"
    assert attack.ended.status is not None


@pytest.mark.parametrize("folder", ["proc", "sys", "dev"])
async def test_system_folders_of_the_image_are_links(arena: Arena, folder: str, tmp_path: Path) -> None:
    """A runtime that follows them mounts over the host's folders, or leaves /proc as the image has it."""
    image = arena.image(Entry(folder, kind=b"2", link=f"../../../../../../../..{tmp_path}"))
    mounts = [line for line in host.mounts() if str(tmp_path) in line]
    await arena.fight("read", "/etc/shadow", image=image)
    assert [line for line in host.mounts() if str(tmp_path) in line] == mounts
    assert not [entry for entry in tmp_path.iterdir() if entry.name != "logs"]


async def test_output_links(arena: Arena, tmp_path: Path) -> None:
    """The job's output replaced by links: nothing that the agent writes or reads follows them."""
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    script = (
        f"ln -sf {canary} /dev/stdout; ln -sf /proc/1/fd/1 /dev/stderr; ln -sf {canary} /dev/log; ln -sf / /logs;"
        "echo hostile >/dev/stdout; echo hostile >/proc/1/fd/1; echo hostile > /proc/self/fd/2; echo over"
    )
    attack = await arena.fight(command=("/bin/sh", "-c", script))
    assert canary.read_text() == "untouched"
    assert [path.name for path in (tmp_path / "logs").iterdir()] == [attack.log_file.name]


def _beginning_of_disk(major: int, minor: int) -> bytes | None:
    for device in Path("/dev").iterdir():
        kind = device.lstat()
        if stat.S_ISBLK(kind.st_mode) and kind.st_rdev == (major << 8 | minor):
            try:
                with device.open("rb") as file:
                    found = file.read(4096)
            except OSError:
                return None
            # Empty sectors say nothing: so does a job that prints zeros.
            return found if any(found[:64]) else None
    return None


def _is_device(file: Path) -> bool:
    mode = file.lstat().st_mode
    return stat.S_ISBLK(mode) or stat.S_ISCHR(mode)


def _runtimes() -> dict[str, str]:
    """Digests of the programs that an engine runs on the host for a container's sake."""
    names = ("runc", "docker-init", "containerd-shim-runc-v2", "containerd", "runsc", "dockerd")
    places = "/usr/bin:/usr/sbin:/usr/local/bin:/usr/libexec/docker"
    found = [place for name in names if (place := shutil.which(name, path=places))]
    return {place: hashlib.sha256(Path(place).read_bytes()).hexdigest() for place in found}
