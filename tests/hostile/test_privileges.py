"""Jobs that want to become more than they are."""

from __future__ import annotations

import pytest

from node.records import IsolationProfile
from tests.e2e import images
from tests.hostile import host
from tests.hostile.arena import Arena, Attack
from tests.hostile.images import Entry

pytestmark = [pytest.mark.docker, pytest.mark.hostile]

CAP_SYS_ADMIN = b"\x00\x00\x00\x02\x00\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
"""A `security.capability` of version 2 whose permitted set is CAP_SYS_ADMIN, not made effective by itself."""
GIVEN = sum(1 << bit for bit in (0, 1, 3, 4, 5, 6, 7, 10))
"""The eight capabilities of `standard`, by number."""


@pytest.mark.brief
@pytest.mark.parametrize("profile", list(IsolationProfile))
async def test_capabilities_are_as_the_profile_says(arena: Arena, profile: IsolationProfile) -> None:
    """Of every process that the host sees in the job, sandboxes of a runtime apart."""

    async def look(attack: Attack) -> None:
        await attack.until_said("waiting")
        for pid in host.processes_of(attack.id):
            status = host.status(pid)
            if arena.runtime == "runsc" and not status.get("Name", "").startswith("attack"):
                continue
            assert int(status["CapEff"], 16) & ~(GIVEN if profile is IsolationProfile.STANDARD else 0) == 0
            assert int(status["CapBnd"], 16) & ~(GIVEN if profile is IsolationProfile.STANDARD else 0) == 0
            assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")

    await arena.fight("calls", look=look, profile=profile)


@pytest.mark.brief
async def test_setuid_program_of_the_image(arena: Arena) -> None:
    image = arena.image(
        Entry("bin/setuid", arena.program, 0o6755),
        Entry("bin/capable", arena.program, 0o755, capability=CAP_SYS_ADMIN),
        changes=("USER 1000",),
    )
    seen: list[dict[str, str]] = []

    async def look(attack: Attack) -> None:
        while attack.state is None and len(seen) < 2:
            seen[:] = host.by_name(attack.id, "hostile-held")
            await attack.tick()

    attack = await arena.fight("setuid", "/bin/setuid", "/bin/capable", image=image, look=look)
    if arena.runtime == "runc":
        assert len(seen) == 2, attack.said()
        for status in seen:
            assert status["Uid"].split() == ["1000"] * 4
            assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert attack.answers()["setuid 0"] == "EPERM"


async def test_setuid_program_made_by_the_job(arena: Arena) -> None:
    seen: list[dict[str, str]] = []

    async def look(attack: Attack) -> None:
        while attack.state is None and not seen:
            seen[:] = host.by_name(attack.id, "hostile-held")
            await attack.tick()

    attack = await arena.fight("make-setuid", look=look)
    if arena.runtime == "runc":
        assert [status["Uid"].split() for status in seen] == [["1000"] * 4], attack.said()
    assert attack.answers()["setuid 0"] == "EPERM"


@pytest.mark.brief
async def test_user_namespaces(arena: Arena) -> None:
    """In one of its own a job would be root with every capability, and the kernel's larger part open to it."""
    found: list[set[int]] = []

    async def look(attack: Attack) -> None:
        await attack.until_said("after Uid")
        found.append({host.namespace(pid, "user") for pid in host.processes_of(attack.id)} - {0})

    attack = await arena.fight("namespaces", look=look)
    if arena.runtime == "runc":
        assert found == [{host.namespace("self", "user")}], "no process in a user namespace of its own making"
        assert "ok" not in {
            answer for name, answer in attack.answers().items() if name.startswith(("unshare", "clone", "setns"))
        }


async def test_root_shell_of_su(arena: Arena) -> None:
    image = arena.image(
        Entry("bin/su", images.busybox_path().read_bytes(), 0o4755),
        Entry("etc/shadow", b"root::19000:0:99999:7:::\n", 0o644),
        changes=("USER 1000",),
    )
    script = "/bin/su root -c '/bin/attack hold hostile-held-su 1'; /bin/busybox id -u"
    seen: list[dict[str, str]] = []

    async def look(attack: Attack) -> None:
        while attack.state is None:
            seen.extend(host.by_name(attack.id, "hostile-held-su"))
            await attack.tick()

    attack = await arena.fight(command=("/bin/sh", "-c", script), image=image, look=look)
    assert all(status["Uid"].split()[1] == "1000" for status in seen)
    assert attack.said().endswith("1000\n")
