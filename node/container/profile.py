"""The isolation profile: a container spec turned into the engine's create request.

What a job may do is decided here and nowhere else. Everything that is not given is denied: no host
mounts but the agent's own cache of remote data, no host namespaces, no engine socket, no devices but the lane's GPUs.
"""

from __future__ import annotations

from typing import Any

from node.container.egress.bridges import bridge_name
from node.container.gpu import device_requests, driver_capabilities, gpu_environment, is_runtime_variable
from node.container.mounts import mounts
from node.container.traits import EngineTraits
from node.gpu.simulated import SIMULATED_UUID_PREFIX
from node.records import ContainerSpec, Egress, IsolationProfile, Limits

STANDARD_CAPABILITIES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETGID",
    "SETUID",
)
"""What ordinary images need (package files of several owners, dropping root, ports under 1024)."""

HOST_NAMES_ELSEWHERE = ("host.docker.internal:8.8.8.8", "host.containers.internal:8.8.8.8")
"""Names that lead to the host in other set-ups; the network's nodes point them away from it."""

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
)
"""Empty for a job. Said here, because older engines lack some of what newer ones hide (energy counters tell what the
neighbours compute)."""
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

LOCKED_BYTES = 8 * 1024**2
QUEUED_BYTES = 819_200
"""What a user may lock in memory, and keep in message queues. The kernel counts both for each user number of the host,
whatever container it is in; so a job gets the usual, not more."""

BRIDGE_NAME_OPTION = "com.docker.network.bridge.name"
_LOG_SLACK_BYTES = 1024 * 1024


PLAIN = EngineTraits()


def create_request(spec: ContainerSpec, traits: EngineTraits = PLAIN) -> dict[str, Any]:
    """Body of the engine's `POST /containers/create` for this spec, to an engine of these traits."""
    return {
        "Image": spec.image,
        "Cmd": None if spec.command is None else list(spec.command),
        "Entrypoint": None if spec.entrypoint is None else list(spec.entrypoint),
        "Env": _environment(spec),
        "WorkingDir": spec.work_dir or "",
        "Labels": dict(spec.labels),
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "OpenStdin": False,
        "Tty": False,
        # An image's own health command would run beside the job on its budget; ports are probed by the agent.
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(spec, traits),
        "NetworkingConfig": {"EndpointsConfig": {spec.network: {"Aliases": list(spec.aliases)}}},
    }


def network_request(name: str, labels: dict[str, str], egress: Egress = Egress.OPEN) -> dict[str, Any]:
    """Arguments of docker-py's `create_network` for a job's own bridge.

    No IPv6: the devices of a home have global addresses there, which a packet filter cannot tell from strangers'.
    """
    return {
        "name": name,
        "driver": "bridge",
        "check_duplicate": True,
        # The engine gives no way out either then: it holds without the packet filter too.
        "internal": egress is Egress.NONE,
        "enable_ipv6": False,
        "options": {BRIDGE_NAME_OPTION: bridge_name(name, egress)},
        "labels": labels,
    }


def real_gpus(spec: ContainerSpec) -> tuple[str, ...]:
    """The UUIDs to ask the engine for: none of a simulated provider's."""
    return tuple(uuid for uuid in spec.gpu_uuids if not uuid.startswith(SIMULATED_UUID_PREFIX))


def _environment(spec: ContainerSpec) -> list[str]:
    devices = real_gpus(spec)
    env = {key: value for key, value in spec.env if not is_runtime_variable(key)}
    if spec.gpu_uuids and not devices:
        env["GPUNODE_GPU"] = "simulated"
    own = gpu_environment(devices, driver_capabilities(spec.runtime, spec.gpu_capabilities))
    return [*(f"{key}={value}" for key, value in env.items()), *own]


def _host_config(spec: ContainerSpec, traits: EngineTraits) -> dict[str, Any]:
    limits = spec.limits
    config: dict[str, Any] = {
        "NetworkMode": spec.network,
        **_name_service(spec),
        "ExtraHosts": list(HOST_NAMES_ELSEWHERE),
        "Runtime": spec.runtime,
        "Privileged": False,
        "PublishAllPorts": False,
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "CapDrop": ["ALL"],
        "CapAdd": list(_capabilities(spec.profile)),
        "SecurityOpt": _security_options(traits),
        "MaskedPaths": list(MASKED_PATHS),
        "ReadonlyPaths": list(READONLY_PATHS),
        "Memory": limits.memory_bytes,
        # Equal to Memory: no swap, or a job could slow the host down instead of being killed.
        "MemorySwap": limits.memory_bytes,
        "PidsLimit": limits.pids,
        "NanoCpus": round(limits.cpus * 1e9),
        "ShmSize": limits.shm_bytes,
        "Ulimits": _ulimits(limits, traits),
        # Reaps orphans, and hands signals to programs that as PID 1 would ignore them.
        "Init": True,
        # When the host itself is out of memory, jobs go before the host's own services.
        "OomScoreAdj": 500,
        "LogConfig": {"Type": "json-file", "Config": _log_options(limits.log_bytes)},
        "AutoRemove": False,
        "RestartPolicy": {"Name": "no"},
    }
    requests = device_requests(real_gpus(spec))
    if requests:
        config["DeviceRequests"] = requests
    found = mounts(spec)
    if found:
        config["Mounts"] = found
    if traits.quota and limits.disk_bytes is not None:
        config["StorageOpt"] = {"size": str(limits.disk_bytes)}
    return config


def _name_service(spec: ContainerSpec) -> dict[str, Any]:
    """Whom it asks for names. The engine forwards to servers that are named here from inside the container's network,
    so that what reaches them is the job's own traffic; the host's own servers it asks on the host's behalf, past every
    rule for jobs. A dot stands for no search domain: without one the host's would be told to the job."""
    if not spec.resolvers:
        return {}
    return {"Dns": list(spec.resolvers), "DnsSearch": ["."], "DnsOptions": ["ndots:0"]}


def _security_options(traits: EngineTraits) -> list[str]:
    # Named where it is known: what an operator's engine makes of "nothing said" is then of no matter. The system call
    # filter cannot be named on every engine; that there is one is seen to before a lane queues.
    return ["no-new-privileges", *(["apparmor=docker-default"] if traits.apparmor else [])]


def _ulimits(limits: Limits, traits: EngineTraits) -> list[dict[str, Any]]:
    # No bound on a user's processes: the kernel counts those of all containers and of the host together, so that one
    # job could starve another. The container's own count (PidsLimit) is what holds.
    wanted = {"nofile": limits.open_files, "core": 0, "memlock": LOCKED_BYTES, "msgqueue": QUEUED_BYTES}
    if limits.disk_bytes is not None:
        # One file can then never be larger than all of them may be, also between two looks at the disk.
        wanted["fsize"] = limits.disk_bytes
    given = {name: min(most, traits.ceilings.get(name, most)) for name, most in wanted.items()}
    return [{"Name": name, "Soft": most, "Hard": most} for name, most in given.items()]


def _capabilities(profile: IsolationProfile) -> tuple[str, ...]:
    return STANDARD_CAPABILITIES if profile is IsolationProfile.STANDARD else ()


def _log_options(log_bytes: int) -> dict[str, str]:
    # A little over the job's budget, so that our own cut comes within the first file. Two of them, though nothing of
    # the second is read: with one the engine would empty it under a follower who is behind, and what is lost would not
    # show; a file that is moved away stays whole for who has it open. "Blocking", the default: the engine writes before
    # the job may go on, so that a job that floods waits for the engine, and no line is dropped in silence.
    return {"max-size": str(log_bytes + _LOG_SLACK_BYTES), "max-file": "2", "mode": "blocking"}
