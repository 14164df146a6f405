"""The settings file that `init` writes: what a host must say, with the rest left to defaults."""

from __future__ import annotations

import grp
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.errors import SettingsError
from node.paths import SERVICE_USER, default_paths

RPC = {
    "localnet": "http://127.0.0.1:8899",
    "devnet": "https://api.devnet.solana.com",
    "mainnet": "https://api.mainnet-beta.solana.com",
}
"""Endpoints that settings begin with."""
_LOCALNET_CONTENT = "http://127.0.0.1:8901"
_GATEWAY = "https://ipfs.io/ipfs/"


@dataclass(frozen=True, slots=True)
class Starter:
    """What the file is made of; None: the cluster's default."""

    cluster: str
    ids: str
    country: str
    market: str
    wallet: Path
    rpc: str
    content: str | None
    data: Path | None
    has_seed: bool = False
    """Whether `wallet` is the file of a seed, for a group of lanes with one for each GPU."""
    no_filter: str = ""
    """On a localnet only: why the packet filter cannot be had, and so is switched off; empty: it is not."""


def check(starter: Starter, file: Path, *, replace: bool) -> None:
    """Raise SettingsError when a value is wrong, or when the file exists and `replace` is false."""
    if file.exists() and not replace:
        raise SettingsError(f"{file}: is there already", hint="use --force to replace it (the wallet is kept)")
    from node.settings_source import load_settings

    try:
        load_settings(None, environment={}, overrides=dict(_flat(_tree(starter, file))))
    except SettingsError as error:
        # The reader's own words, without a place: the values came from flags.
        raise SettingsError(error.message.removeprefix("environment: "), hint=error.hint) from None


def write(starter: Starter, file: Path) -> None:
    """Write the settings file (mode 0640). Raises SettingsError when that is not possible."""
    text = _text(starter, _tree(starter, file))
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        # Written beside and renamed: a full disk must not leave half a file where a whole one was.
        beside = file.with_name(f".{file.name}.new")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        beside.replace(file)
    except OSError as error:
        raise SettingsError(
            f"{file}: cannot be written: {error.strerror}", hint="name another file with --settings"
        ) from None


def _tree(starter: Starter, file: Path) -> dict[str, Any]:
    content = starter.content or (_LOCALNET_CONTENT if starter.cluster == "localnet" else None)
    gateways = [f"{content.rstrip('/')}/ipfs/"] if content and starter.cluster == "localnet" else [_GATEWAY]
    tree: dict[str, Any] = {"cluster": starter.cluster}
    if starter.cluster == "localnet":
        tree["ids"] = starter.ids
    tree["rpc"] = {"urls": [starter.rpc]}
    tree["content"] = {"stores": [{"kind": "kubo", "url": content}] if content else [], "gateways": gateways}
    tree["host"] = {"country": starter.country.upper()}
    if starter.no_filter:
        tree["network"] = {"filter": "off"}
    if starter.data is not None:
        data = starter.data.expanduser().absolute()
        tree["paths"] = {"data": str(data), "control_socket": str(data / "control.sock")}
    elif default_paths().settings == file and _is_group(SERVICE_USER):
        # The service's: members of the group may ask the agent without being its user.
        tree["paths"] = {"control_group": SERVICE_USER}
    wallet = starter.wallet.absolute()
    folder = file.absolute().parent
    shown = wallet.relative_to(folder) if wallet.is_relative_to(folder) else wallet
    own = {"wallet": str(shown), "market": starter.market}
    if starter.has_seed:
        tree["lane_groups"] = [{"name": "gpu", **own}]
    else:
        tree["lanes"] = [{"name": "main", **own}]
    return tree


def _is_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _flat(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in tree.items():
        if isinstance(value, dict):
            pairs += _flat(value, f"{prefix}{key}.")
        elif key in ("lanes", "lane_groups"):
            pairs += [(f"{key}.{i}.{name}", item) for i, lane in enumerate(value) for name, item in lane.items()]
        else:
            pairs.append((f"{prefix}{key}", value))
    return pairs


def _text(starter: Starter, tree: dict[str, Any]) -> str:
    """YAML with comments. JSON values are valid YAML, so no value needs care of its own."""
    lines = [
        "# Settings of gpunode. Every other setting has a default: see node.example.yaml.",
        f"cluster: {starter.cluster}" + ("   # real money" if starter.cluster == "mainnet" else ""),
    ]
    if "ids" in tree:
        lines.append(f"ids: {tree['ids']}")
    for section in ("rpc", "content", "host", "network", "paths"):
        if section == "network" and starter.no_filter:
            lines += [
                "",
                "# RELAXED: jobs reach whatever this host reaches, its home network too. It was written because",
            ]
            lines += [f"# {starter.no_filter}; on a public cluster, never."]
        if section in tree:
            lines += (
                ([] if section == "network" else [""])
                + [f"{section}:"]
                + [f"  {name}: {json.dumps(value)}" for name, value in tree[section].items()]
            )
        if section == "content" and not tree["content"]["stores"]:
            lines.append("  # Results must be uploaded somewhere: an IPFS node (kubo) or a pinning service (pinata).")
    if starter.has_seed:
        lines += ["", "# One lane for each GPU, with a key of the seed that it keeps."]
    key = "lane_groups" if starter.has_seed else "lanes"
    lane = tree[key][0]
    lines += ["", f"{key}:"] if not starter.has_seed else [f"{key}:"]
    lines += [
        f"  {'- ' if i == 0 else '  '}{name}: {json.dumps(value)}" for i, (name, value) in enumerate(lane.items())
    ]
    return "\n".join(lines) + "\n"
