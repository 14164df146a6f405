"""Reads the settings tree from a YAML file, the environment and flags, in rising order of weight.

Environment: `GPUNODE_` and the keys joined by two underscores, values as YAML: `GPUNODE_HOST__COUNTRY=NL`,
`GPUNODE_LANES__0__MARKET=...`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from node.errors import SettingsError
from node.lane_groups import read_places, with_lanes
from node.settings import Settings
from node.settings_lanes import LaneGroupSettings, LaneSettings
from node.settings_yaml import LIMIT, YamlRefused, read_yaml

ENVIRONMENT_PREFIX = "GPUNODE_"


def load_settings(
    file: Path | None,
    *,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the settings tree.

    `file` may be None when everything comes from the environment; `overrides` maps dotted keys
    (`lanes.0.market`) to values and weighs most. Relative paths in a file are relative to the file's folder.
    Raises SettingsError naming file, key, value and what is allowed.
    """
    tree = _read_file(file) if file is not None else {}
    for keys, value in _environment_values(os.environ if environment is None else environment):
        _put(tree, keys, value)
    for dotted, value in (overrides or {}).items():
        _put(tree, dotted.split("."), value)
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        raise _explain(error, file) from None
    settings = settings if file is None else _anchor(settings, file.absolute().parent)
    places = read_places(settings.locations.data) if settings.lane_groups else {}
    # Compared once more: one key may be written as a relative path in one lane and an absolute one in another.
    return with_lanes(settings, places)


def _read_file(file: Path) -> dict[str, Any]:
    try:
        text = _text(file)
    except FileNotFoundError:
        raise SettingsError(
            f"{file}: no such settings file", hint="write one with `gpunode init`, or name it with --settings"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: cannot be read: {error}", hint="check the file and its permissions") from None
    try:
        tree = read_yaml(text)
    except YamlRefused as refused:
        raise SettingsError(f"{file}: {refused}", hint="compare with node.example.yaml") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise SettingsError(
            f"{file}: not valid YAML{where}: {getattr(error, 'problem', error)}",
            hint="compare with node.example.yaml",
        ) from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise SettingsError(f"{file}: must hold keys and values", hint="compare with node.example.yaml")
    # A group whose settings are all commented out reads as nothing: its defaults are meant.
    return {key: value for key, value in tree.items() if value is not None}


def _text(file: Path) -> str:
    with file.open("rb") as opened:
        if os.fstat(opened.fileno()).st_mode & stat.S_IWOTH:
            # Whoever can write it can name another payout, or another engine.
            raise SettingsError(f"{file}: everybody may write to it", hint=f"chmod o-w {file}")
        return opened.read(LIMIT + 1).decode("utf-8")


def _environment_values(environment: Mapping[str, str]) -> list[tuple[list[str], Any]]:
    found = []
    for name, text in sorted(environment.items()):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        if keys[0] not in Settings.model_fields:
            # Other variables of this prefix (GPUNODE_SETTINGS, test switches) are no settings.
            continue
        try:
            found.append((keys, read_yaml(text)))
        except yaml.YAMLError:
            found.append((keys, text))
    return found


def _put(tree: dict[str, Any], keys: list[str], value: Any) -> None:
    """Set a nested value, making maps on the way and lists where a key is a number."""
    here: Any = tree
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        if isinstance(here, list):
            if not key.isdigit() or int(key) > len(here):
                raise SettingsError(
                    f"{'.'.join(keys)}: {key!r} is not an index of this list",
                    hint=f"use a number from 0 to {len(here)}",
                )
            if int(key) == len(here):
                here.append({})
            if following is None:
                here[int(key)] = value
            else:
                here = here[int(key)]
        elif isinstance(here, dict):
            if following is None:
                here[key] = value
            else:
                empty: Any = [] if following.isdigit() else {}
                if not isinstance(here.get(key), dict | list):
                    here[key] = empty
                here = here[key]
        else:
            raise SettingsError(f"{'.'.join(keys)}: {key!r} has no parts", hint="compare with node.example.yaml")


def _explain(error: ValidationError, file: Path | None) -> SettingsError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"] if "[" not in str(part)) or "settings"
    where = str(file) if file is not None else "environment"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return SettingsError(f"{where}: {key}: is required", hint="see node.example.yaml for what it means")
    if first["type"] == "extra_forbidden":
        return SettingsError(f"{where}: {key}: no such setting", hint="see node.example.yaml for all of them")
    shown = repr(first.get("input"))
    if len(shown) > 80:
        shown = shown[:77] + "..."
    return SettingsError(f"{where}: {key}: {shown}: {message}", hint="see node.example.yaml for what is allowed")


_L = TypeVar("_L", LaneSettings, LaneGroupSettings)


def _anchor_lane(lane: _L, folder: Path) -> _L:
    secret = None if lane.passphrase_file is None else folder / lane.passphrase_file.expanduser()
    return lane.model_copy(update={"wallet": folder / lane.wallet.expanduser(), "passphrase_file": secret})


def _anchor(settings: Settings, folder: Path) -> Settings:
    """Make relative paths of a settings file absolute, from the file's folder."""
    lanes = tuple(_anchor_lane(lane, folder) for lane in settings.lanes)
    stores = tuple(
        store if store.jwt_file is None else store.model_copy(update={"jwt_file": folder / store.jwt_file.expanduser()})
        for store in settings.content.stores
    )
    paths = settings.paths.model_copy(
        update={
            "data": folder / settings.paths.data.expanduser(),
            "control_socket": folder / settings.paths.control_socket.expanduser(),
        }
    )
    token = settings.service.frp.token_file
    frp = settings.service.frp.model_copy(update={"token_file": None if token is None else folder / token.expanduser()})
    return settings.model_copy(
        update={
            "service": settings.service.model_copy(update={"frp": frp}),
            "lanes": lanes,
            "lane_groups": tuple(_anchor_lane(group, folder) for group in settings.lane_groups),
            "paths": paths,
            "content": settings.content.model_copy(update={"stores": stores}),
        }
    )
