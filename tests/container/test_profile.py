"""The create request, member by member."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from node.container.engine import ImageInfo, split_reference
from node.container.profile import create_request, network_request, real_gpus
from node.records import IsolationProfile
from tests.container.operations import LIMITS, operation

SPEC = operation("image:1", "node", ["a", "b"]).container


def host(**changes: Any) -> dict[str, Any]:
    config = create_request(replace(SPEC, **changes))["HostConfig"]
    assert isinstance(config, dict)
    return config


def test_nothing_of_the_host_is_given() -> None:
    config = host()
    assert config["Privileged"] is False
    assert config["CapDrop"] == ["ALL"]
    assert config["SecurityOpt"] == ["no-new-privileges"]
    assert config["IpcMode"] == "private"
    assert config["PublishAllPorts"] is False
    for member in ("Binds", "Mounts", "Devices", "PidMode", "UTSMode", "UsernsMode", "PortBindings", "VolumesFrom"):
        assert member not in config


def test_capabilities_by_profile() -> None:
    assert host(profile=IsolationProfile.SEALED)["CapAdd"] == []
    assert sorted(host(profile=IsolationProfile.STANDARD)["CapAdd"]) == [
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "NET_BIND_SERVICE",
        "SETGID",
        "SETUID",
    ]


def test_limits() -> None:
    config = host(limits=replace(LIMITS, cpus=1.5))
    assert config["Memory"] == config["MemorySwap"] == LIMITS.memory_bytes
    assert (config["PidsLimit"], config["NanoCpus"], config["ShmSize"]) == (
        LIMITS.pids,
        1_500_000_000,
        LIMITS.shm_bytes,
    )
    assert {"Name": "nofile", "Soft": LIMITS.open_files, "Hard": LIMITS.open_files} in config["Ulimits"]
    assert int(config["LogConfig"]["Config"]["max-size"]) > LIMITS.log_bytes


REMOVED = {
    "NVIDIA_MIG_CONFIG_DEVICES",
    "NVIDIA_MIG_MONITOR_DEVICES",
    "NVIDIA_IMEX_CHANNELS",
    "NVIDIA_GDS",
    "NVIDIA_GDRCOPY",
    "NVIDIA_MOFED",
    "NVIDIA_NVSWITCH",
    "DOCKER_RESOURCE_GPU",
    "DOCKER_RESOURCE_NVIDIA_GPU",
    "DOCKER_RESOURCE_NVIDIA-GPU",
}


@pytest.mark.parametrize(
    ("uuids", "asked", "env"),
    [
        ((), None, {"NVIDIA_VISIBLE_DEVICES=void", "NVIDIA_DRIVER_CAPABILITIES"}),
        (
            ("GPU-simulated-1",),
            None,
            {"NVIDIA_VISIBLE_DEVICES=void", "NVIDIA_DRIVER_CAPABILITIES", "GPUNODE_GPU=simulated"},
        ),
        (
            ("GPU-a", "GPU-b"),
            ["GPU-a", "GPU-b"],
            {
                "NVIDIA_VISIBLE_DEVICES=GPU-a,GPU-b",
                "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video",
                "NVIDIA_DISABLE_REQUIRE=true",
            },
        ),
    ],
)
def test_gpus(uuids: tuple[str, ...], asked: list[str] | None, env: set[str]) -> None:
    spec = replace(SPEC, gpu_uuids=uuids)
    requests = create_request(spec)["HostConfig"].get("DeviceRequests")
    expected = None if asked is None else [{"Driver": "nvidia", "DeviceIDs": asked, "Capabilities": [["gpu"]]}]
    assert requests == expected
    assert set(create_request(spec)["Env"]) == env | REMOVED
    assert real_gpus(spec) == tuple(asked or ())


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA_VISIBLE_DEVICES",
        "nvidia_visible_devices",
        "Nvidia_Driver_Capabilities",
        " NVIDIA_VISIBLE_DEVICES",
        "NVIDIA_REQUIRE_CUDA",
        "NVIDIA_MIG_CONFIG_DEVICES",
        "DOCKER_RESOURCE_NVIDIA-GPU",
    ],
)
@pytest.mark.parametrize("uuids", [(), ("GPU-a",)])
def test_no_definition_steers_the_nvidia_hook(name: str, uuids: tuple[str, ...]) -> None:
    spec = replace(SPEC, gpu_uuids=uuids, env=((name, "all"), ("A", "1=2")))
    untouched = replace(SPEC, gpu_uuids=uuids, env=(("A", "1=2"),))
    assert create_request(spec)["Env"] == create_request(untouched)["Env"]
    assert "A=1=2" in create_request(spec)["Env"]


def test_capabilities_are_the_settings_and_within_what_gvisor_allows() -> None:
    wide = replace(SPEC, gpu_uuids=("GPU-a",), gpu_capabilities=("compute", "utility", "video", "graphics"))
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video,graphics" in create_request(wide)["Env"]
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in create_request(replace(wide, runtime="runsc"))["Env"]


def test_a_narrower_choice_among_its_own_devices_is_the_job_s() -> None:
    assert "CUDA_VISIBLE_DEVICES=0" in create_request(replace(SPEC, env=(("CUDA_VISIBLE_DEVICES", "0"),)))["Env"]


def test_command_and_entrypoint_stay_the_image_s_unless_given() -> None:
    bare = create_request(replace(SPEC, command=None, entrypoint=None, work_dir=None))
    assert (bare["Cmd"], bare["Entrypoint"], bare["WorkingDir"]) == (None, None, "")
    full = create_request(replace(SPEC, command=("x",), entrypoint=("/bin/sh -c",), work_dir="/w"))
    assert (full["Cmd"], full["Entrypoint"], full["WorkingDir"]) == (["x"], ["/bin/sh -c"], "/w")


def test_the_bridge_is_named_for_the_packet_filter() -> None:
    options = network_request("gpn0123456789ab-and-more", {})["options"]
    assert options == {"com.docker.network.bridge.name": "gpn0123456789ab"}


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("ubuntu", ("ubuntu", "latest")),
        ("a/b:1", ("a/b", "1")),
        ("localhost:5000/a", ("localhost:5000/a", "latest")),
        ("localhost:5000/a:2", ("localhost:5000/a", "2")),
        ("r.io/a@sha256:ab", ("r.io/a", "sha256:ab")),
        ("r.io:1/a:3@sha256:ab", ("r.io:1/a", "sha256:ab")),
    ],
)
def test_references(reference: str, parts: tuple[str, str]) -> None:
    assert split_reference(reference) == parts


def test_digest_of_the_right_repository() -> None:
    image = ImageInfo("sha256:id", ("mirror/x@sha256:m", "docker.io/library/x@sha256:x"), 1)
    assert image.digest_for("x:1") == "sha256:x"
    assert image.digest_for("library/x") == "sha256:x"
    assert image.digest_for("mirror/x") == "sha256:m"
    assert image.digest_for("other/x") == "sha256:id"
