"""Which GPUs a container is given, and the variables by which it could ask for others.

The NVIDIA runtime and its hook read a container's environment: what an image has baked in, and what a definition sets,
are wishes of strangers. The engine is asked for exact UUIDs, and every variable that the runtime listens to has the
agent's value or is taken away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

NO_DEVICES = "void"
"""The one value of NVIDIA_VISIBLE_DEVICES that makes the runtime leave a container alone, whatever else it says."""

_RUNTIME_PREFIXES = ("NVIDIA_", "DOCKER_RESOURCE_")
"""NVIDIA's runtime listens to the first; to the second (a Swarm's resources) where its settings say so."""

_REMOVED = (
    # Rights over how a GPU is divided, and channels to other hosts' GPUs.
    "NVIDIA_MIG_CONFIG_DEVICES",
    "NVIDIA_MIG_MONITOR_DEVICES",
    "NVIDIA_IMEX_CHANNELS",
    # Devices beside the GPU: storage, network and fabric.
    "NVIDIA_GDS",
    "NVIDIA_GDRCOPY",
    "NVIDIA_MOFED",
    "NVIDIA_NVSWITCH",
    # Names by which a Swarm hands out devices.
    "DOCKER_RESOURCE_GPU",
    "DOCKER_RESOURCE_NVIDIA_GPU",
    "DOCKER_RESOURCE_NVIDIA-GPU",
)


_OF_GVISOR = ("compute", "utility")
"""What runsc allows where its options say nothing else (--nvproxy-allowed-driver-capabilities)."""


def is_runtime_variable(name: str) -> bool:
    """Whether the NVIDIA runtime may listen to a variable of that name. In any spelling: no job has a use for them."""
    return name.strip().upper().startswith(_RUNTIME_PREFIXES)


def driver_capabilities(runtime: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """Those of the wanted parts of the driver that a runtime gives: gVisor refuses a container that names any other."""
    return tuple(each for each in wanted if runtime != "runsc" or each in _OF_GVISOR)


def gpu_environment(uuids: Sequence[str], capabilities: Sequence[str]) -> tuple[str, ...]:
    """The agent's own word on all that the NVIDIA runtime listens to, as entries of the engine's `Env`. The engine puts
    them over what the image says; an entry without `=` takes the image's variable away.

    `capabilities`: parts of the driver to make visible, by NVIDIA's names (compute, utility, video, ...).
    """
    if not uuids:
        return (f"NVIDIA_VISIBLE_DEVICES={NO_DEVICES}", "NVIDIA_DRIVER_CAPABILITIES", *_REMOVED)
    return (
        f"NVIDIA_VISIBLE_DEVICES={','.join(uuids)}",
        f"NVIDIA_DRIVER_CAPABILITIES={','.join(capabilities)}",
        # An image's conditions (NVIDIA_REQUIRE_*) would be parsed on the host, by root. A driver that is too old for
        # an image says so itself.
        "NVIDIA_DISABLE_REQUIRE=true",
        *_REMOVED,
    )


def device_requests(uuids: Sequence[str]) -> list[dict[str, Any]]:
    """The engine's DeviceRequests for exactly these GPUs; empty for none.

    The driver's capabilities are not asked for here: engines of one release refuse any but `gpu`, and all take the
    variable.
    """
    return [{"Driver": "nvidia", "DeviceIDs": list(uuids), "Capabilities": [["gpu"]]}] if uuids else []
