"""Images whose configuration is the attack."""

from __future__ import annotations

import docker.errors
import pytest

from node.container.engine import JOB_LABEL, NODE_LABEL, OPERATION_LABEL
from node.records import OperationStatus
from tests.container.operations import LIMITS
from tests.hostile import host
from tests.hostile.arena import Arena, Attack
from tests.hostile.images import layered_image

pytestmark = [pytest.mark.docker, pytest.mark.hostile]


@pytest.mark.brief
async def test_labels_of_the_image_that_imitate_ours(arena: Arena) -> None:
    image = arena.image(
        changes=(
            f"LABEL {NODE_LABEL}=SomebodyElse {JOB_LABEL}=AnotherJob {OPERATION_LABEL}=7 gpunode.lane=other",
            "LABEL com.docker.compose.project=x io.podman.annotations.autoremove=TRUE",
        )
    )
    seen: list[dict[str, str]] = []

    async def look(attack: Attack) -> None:
        seen.append(arena.client.inspect_container(attack.id)["Config"]["Labels"])

    attack = await arena.fight(command=("/bin/busybox", "sleep", "1"), image=image, look=look)
    wanted = dict(attack.operation.container.labels)
    assert {key: seen[0][key] for key in wanted} == wanted
    assert not arena.client.containers(all=True, filters={"label": f"{JOB_LABEL}=AnotherJob"})


async def test_health_command_of_the_image(arena: Arena) -> None:
    image = arena.image(changes=("HEALTHCHECK --interval=1s --timeout=30s CMD /bin/attack fork-bomb 50 20",))

    async def look(attack: Attack) -> None:
        await attack.until_said("up")
        for _ in range(50):
            await attack.tick()
        view = arena.client.inspect_container(attack.id)
        assert view["State"].get("Health") is None
        assert len(host.processes_of(attack.id)) < 10

    await arena.fight(command=("/bin/sh", "-c", "echo up; sleep 3"), image=image, look=look)


@pytest.mark.parametrize("volume", ["/", "/proc", "/../../etc", "/dev", "/sys/fs/cgroup", "/etc"])
async def test_volumes_of_the_image(arena: Arena, volume: str) -> None:
    """A volume in a place of the system's: the job fails or has an empty folder of its own; never the host's."""
    before = host.mounts("self")
    volumes = _volumes(arena)
    attack = await arena.fight("read", "/etc/shadow", image=arena.image(changes=(f'VOLUME ["{volume}"]',)))
    assert attack.ended.ended_ms is not None
    made = [line for line in host.mounts("self") if line not in before]
    assert not [line for line in made if attack.id in line]
    assert _volumes(arena) == volumes
    assert "/etc/shadow: ok" not in attack.said()


@pytest.mark.parametrize(
    "settings",
    [
        {"User": "4294967295:4294967295"},
        {"User": "nobody-of-that-name"},
        {"User": "\u202e\u2066root"},
        {"WorkingDir": "/proc/1/root/../../.."},
        {"WorkingDir": "relative/../.."},
        {"Entrypoint": ["/does/not/exist\u0000x"]},
        {"Entrypoint": ["\n", "\u001b[2J"]},
        {"Env": ["LD_PRELOAD=/bin/attack", "PATH=/proc/self/fd", "=x", "NAMELESS", "DOCKER_HOST=unix:///run/x"]},
        {"ExposedPorts": {"22/tcp": {}, "2375/tcp": {}, "65535/udp": {}}},
        {"Labels": {"x" * 4096: "y" * 65536, "\n": "\u202e"}},
        {"Hostname": "hostile.example", "Domainname": "x", "MacAddress": "02:00:00:00:00:01", "Tty": True},
        {"Shell": ["/proc/self/exe"], "OnBuild": ["RUN x"], "StopTimeout": 86400, "NetworkDisabled": False},
        {"Healthcheck": {"Test": ["CMD", "/bin/attack", "fork-bomb", "50", "20"], "Interval": 1}},
    ],
    ids=lambda settings: "-".join(settings),
)
async def test_configuration_that_confuses(arena: Arena, settings: dict[str, object]) -> None:
    try:
        image = arena.configured(**settings)
    except (AssertionError, docker.errors.APIError) as error:
        pytest.skip(f"the engine takes no such image: {str(error)[:80]}")
    attack = await arena.fight("read", "/etc/shadow", image=image, command=("/bin/attack", "read", "/etc/shadow"))
    assert attack.ended.ended_ms is not None
    assert attack.ended.status in (OperationStatus.SUCCESS, OperationStatus.FAILED)
    assert "/etc/shadow: ok" not in attack.said()
    assert arena.client.containers(all=True, filters={"label": f"{NODE_LABEL}={arena.node}"}) == []


async def test_a_hundred_layers(arena: Arena) -> None:
    image = layered_image(arena.client, arena.program, 100)
    attack = await arena.fight("read", "/layer", image=image)
    assert attack.ended.exit_code == 0
    assert b"99".hex() in attack.said()


@pytest.mark.parametrize("size", [128 * 1024, 2 * 1024**2])
async def test_giant_arguments_and_environment(arena: Arena, size: int) -> None:
    """More than a program may be given: the job fails, with the agent's memory as it was."""
    attack = await arena.fight("read", "x" * size, env=(("HUGE", "y" * size), ("\u202e\u0000".strip("\0"), "z")))
    assert attack.ended.ended_ms is not None
    assert attack.growth < 64 * 1024**2


@pytest.mark.brief
async def test_gpus_by_environment(arena: Arena) -> None:
    """`NVIDIA_VISIBLE_DEVICES=all` in the image and in the definition."""
    image = arena.image(
        changes=("ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=all NVIDIA_MIG_CONFIG_DEVICES=all",)
    )
    seen: list[dict[str, str]] = []

    async def look(attack: Attack) -> None:
        view = arena.client.inspect_container(attack.id)
        seen.append(dict(pair.partition("=")[::2] for pair in view["Config"]["Env"]))
        assert not view["HostConfig"]["DeviceRequests"]
        assert not view["HostConfig"]["Devices"]
        if arena.runtime == "runc":
            environment = host.environment(host.processes_of(attack.id)[-1])
            assert environment["NVIDIA_VISIBLE_DEVICES"] == "void"

    env = (("NVIDIA_VISIBLE_DEVICES", "all"), ("nvidia_visible_devices", "all"), ("NVIDIA_REQUIRE_CUDA", "x"))
    await arena.fight(command=("/bin/busybox", "sleep", "1"), image=image, env=env, look=look)
    assert seen[0]["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert not seen[0].get("NVIDIA_MIG_CONFIG_DEVICES"), "empty, for engines that cannot take a variable away"


@pytest.mark.parametrize("name", ["../../../etc/cron.d/x", "a\nb", "\u202egnp", "-rf", "x" * 300, "\x1b[2J"])
async def test_names_of_operations(arena: Arena, name: str) -> None:
    """Names that a definition chooses reach the engine as aliases and never the file system."""
    attack = await arena.fight("read", "/etc/hosts", aliases=(name,))
    assert attack.ended.ended_ms is not None
    assert [path.parent for path in arena.data.rglob("*") if path.is_file()] == [arena.data / "logs"]
    assert LIMITS.pids > attack.tasks


def _volumes(arena: Arena) -> set[str]:
    return {volume["Name"] for volume in arena.client.volumes()["Volumes"] or ()}
