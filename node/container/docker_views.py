"""What Docker answers, as the engine contract words it."""

from __future__ import annotations

from typing import Any

from node.container.engine import ContainerView, EnginePart, ImageInfo, NetworkView, VolumeView
from node.container.profile import BRIDGE_NAME_OPTION


def image_info(raw: dict[str, Any]) -> ImageInfo:
    """An image, of the engine's own words on it."""
    nameless = ("<none>:<none>", "<none>@<none>")
    return ImageInfo(
        id=str(raw["Id"]),
        repo_digests=tuple(str(name) for name in raw.get("RepoDigests") or () if name not in nameless),
        size_bytes=int(raw.get("Size") or 0),
        tags=tuple(str(name) for name in raw.get("RepoTags") or () if name not in nameless),
    )


def container_view(raw: dict[str, Any]) -> ContainerView:
    """A container, of what inspecting it says."""
    state = dict(raw.get("State") or {})
    status = str(state.get("Status", ""))
    running = bool(state.get("Running")) or status in ("paused", "restarting")
    state["RestartCount"] = int(raw.get("RestartCount") or 0)
    config = raw.get("Config") or {}
    ended = not running and status != "created"
    return ContainerView(
        id=str(raw["Id"]),
        name=str(raw.get("Name", "")).removeprefix("/"),
        labels=dict(config.get("Labels") or {}),
        status=status,
        running=running,
        exit_code=int(state.get("ExitCode", 0)) if ended else None,
        state=state,
        image_id=str(raw.get("Image", "")),
        entrypoint=_words(config.get("Entrypoint")),
        command=_words(config.get("Cmd")),
        started_at=str(state.get("StartedAt", "")),
        created_at=str(raw.get("Created", "")),
        layers=tuple(filter(None, str(_storage(raw).get("LowerDir") or "").split(":"))),
        writable=_writable(raw),
        mounted=tuple(str(mount["Source"]) for mount in raw.get("Mounts") or () if mount.get("Source")),
        addresses=_addresses(raw) if running else (),
    )


def _addresses(raw: dict[str, Any]) -> tuple[str, ...]:
    networks = ((raw.get("NetworkSettings") or {}).get("Networks") or {}).values()
    return tuple(str(network["IPAddress"]) for network in networks if network.get("IPAddress"))


def network_view(raw: dict[str, Any]) -> NetworkView:
    """A network, of a list's row or of what inspecting it says."""
    bridge = str((raw.get("Options") or {}).get(BRIDGE_NAME_OPTION, ""))
    return NetworkView(str(raw["Id"]), str(raw["Name"]), dict(raw.get("Labels") or {}), bridge)


def volume_view(raw: dict[str, Any]) -> VolumeView:
    """A volume, of a list's row or of the answer to its making."""
    return VolumeView(str(raw["Name"]), dict(raw.get("Labels") or {}), str(raw.get("Mountpoint") or ""))


def runtime_commands(raw: dict[str, Any]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Of the engine's runtimes, those that are programs: name, and program with arguments."""
    return tuple(
        (name, (str(runtime["path"]), *(str(word) for word in runtime.get("runtimeArgs") or ())))
        for name, runtime in sorted(raw.items())
        if isinstance(runtime, dict) and runtime.get("path")
    )


def _storage(raw: dict[str, Any]) -> dict[str, Any]:
    """Where the storage driver keeps it; nothing with drivers that keep it elsewhere than in folders."""
    return (raw.get("GraphDriver") or {}).get("Data") or {}


def _writable(raw: dict[str, Any]) -> tuple[str, ...]:
    layer = _storage(raw).get("UpperDir")
    if not layer:
        return ()  # a store that keeps layers elsewhere: the engine itself must say how much there is
    # The name files lie beside the container's layer and may be written to by it.
    files = [raw.get(key) for key in ("HostsPath", "HostnamePath", "ResolvConfPath")]
    # The engine keeps two files of log at most (node.container.profile).
    log = str(raw.get("LogPath") or "")
    files += [log, f"{log}.1"] if log else []
    mounts = [mount.get("Source") for mount in raw.get("Mounts") or () if _is_written(mount)]
    return tuple(str(path) for path in (layer, *files, *mounts) if path)


def _is_written(mount: dict[str, Any]) -> bool:
    return mount.get("Type") == "volume" or (mount.get("Type") == "bind" and bool(mount.get("RW")))


def _words(value: object) -> tuple[str, ...] | None:
    return tuple(str(word) for word in value) if isinstance(value, list) else None


def engine_part(raw: dict[str, Any]) -> EnginePart:
    """One of the Components in the engine's answer to `GET /version`."""
    details = raw.get("Details") or {}
    return EnginePart(str(raw.get("Name", "")), str(raw.get("Version", "")), str(details.get("GitCommit", "")))
