"""The doctor's rows on isolation: what keeps a job inside on this host, and what of it was let go by a setting."""

from __future__ import annotations

import os
from pathlib import Path

from node.agent.finding import Finding
from node.agent.isolation import hindrance, relaxations
from node.container.docker import DockerEngine
from node.container.engine import EngineInfo
from node.container.gvisor import RUNTIME
from node.container.traits import has_quota, security_option
from node.errors import ContainerError
from node.settings import Settings

_FILTERS_VSOCK = 23
_FILTERS_ALL = 25
"""Docker releases from which the default filter stops vsock, and io_uring as well."""


async def isolation_findings(settings: Settings) -> list[Finding]:
    """The rows; changes nothing."""
    engine = DockerEngine(settings.engine.socket)
    try:
        info = await engine.info()
    except ContainerError:
        rows = [Finding("isolation", None, "not looked at: the container engine does not answer")]
    else:
        rows = [_isolation(settings, info), *system_calls(info), _disk(settings, info), *_nodes(settings, info)]
    finally:
        await engine.aclose()
    active = relaxations(settings)
    if not active:
        return [*rows, Finding("relaxations", True, "none")]
    fix = "take it out of the settings for what the agent does by itself"
    # Said by rows of their own: with the known escapes, and with the packet filter.
    told = [each for each in active if each.setting not in ("security.accept", "network.filter")]
    return [*rows, *(Finding(f"relaxation {each.setting}", None, each.meaning, fix) for each in told)]


def _isolation(settings: Settings, info: EngineInfo) -> Finding:
    seccomp, apparmor = security_option(info, "seccomp"), security_option(info, "apparmor")
    filtered = "no filter of system calls" if seccomp is None else f"seccomp {seccomp.get('profile', 'default')}"
    remapped = security_option(info, "userns") is not None or security_option(info, "rootless") is not None
    seen = ", ".join(
        (
            f"profile {settings.engine.profile.value}",
            f"runtime {settings.engine.runtime}",
            *([f"{len(settings.policy.isolation)} rules of policy.isolation"] if settings.policy.isolation else []),
            filtered,
            "AppArmor docker-default" if apparmor is not None else "no AppArmor on this host",
            "user numbers mapped away from the host's" if remapped else "a job's root has the host's root's number",
        )
    )
    found = hindrance(settings, info)
    if found is not None:
        return Finding("isolation", False, f"{found.message}; {seen}", found.hint)
    return Finding("isolation", True, seen)


def system_calls(info: EngineInfo) -> list[Finding]:
    """What the system call filter of an old engine lets through (Docker's release notes of 23.0 and 25.0)."""
    first = info.version.split(".")[0]
    major = int(first) if first.isdecimal() else _FILTERS_ALL
    if info.name != "docker" or major >= _FILTERS_ALL or security_option(info, "seccomp") is None:
        return []
    calls = "io_uring" if major >= _FILTERS_VSOCK else "io_uring and sockets to the host's virtual machines (vsock)"
    return [
        Finding(
            "system calls",
            None,
            f"the filter of engine {info.version} lets {calls} through",
            f"upgrade the engine to {_FILTERS_ALL} or later; under engine.runtime: {RUNTIME} neither reaches the host",
        )
    ]


def _disk(settings: Settings, info: EngineInfo) -> Finding:
    limits = settings.limits
    name = "disk limit of jobs"
    most = f"{limits.disk_most_bytes / 1024**3:g} GiB" if limits.disk_most_bytes else "none"
    files = f"{limits.inodes} files" if limits.inodes else "any number of files"
    how = "by the file system's quota, and measured" if has_quota(info) and limits.disk_most_bytes else "measured"
    if _sees_layers(info):
        return Finding(name, True, f"{most}, {files}, {how}")
    return Finding(
        name,
        None,
        f"{most}, {how} by the engine: the number of files, and files that were deleted but are kept open, are not "
        f"seen by this user",
        "run the agent as the system's service or as root, or put the engine's data on XFS with pquota",
    )


def _nodes(settings: Settings, info: EngineInfo) -> list[Finding]:
    runtimes = {settings.engine.runtime, *(rule.runtime for rule in settings.policy.isolation)}
    if RUNTIME not in runtimes or _sees_layers(info):
        return []
    return [
        Finding(
            "device nodes of images",
            None,
            f"this user cannot look for them, and some releases of {RUNTIME} open them as the host's devices",
            "run the agent as root, or only images that you know",
        )
    ]


def _sees_layers(info: EngineInfo) -> bool:
    # By what this process may, as root or by CAP_DAC_READ_SEARCH, and not by whose user it is.
    return os.access(Path(info.root_dir), os.R_OK | os.X_OK, effective_ids=True)
