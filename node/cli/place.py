"""Which settings a command works with, and how its asynchronous part is run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from node.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from node.settings import LaneSettings, Settings

T = TypeVar("T")

CHOSEN_FILE: ContextVar[Path | None] = ContextVar("chosen_file", default=None)
"""The settings file named before the command, if any."""


def settings_file(option: Path | None) -> tuple[Path, bool]:
    """The settings file, and whether the user named it: after the command, before it, or by GPUNODE_SETTINGS."""
    from node.paths import default_paths

    chosen = option or CHOSEN_FILE.get()
    if chosen is None and os.environ.get("GPUNODE_SETTINGS"):
        chosen = Path(os.environ["GPUNODE_SETTINGS"])
    if chosen is None:
        return default_paths().settings, False
    return chosen.expanduser(), True


def load(option: Path | None) -> Settings:
    """The settings. Raises SettingsError when there are none or one is wrong."""
    from node.settings_source import load_settings

    return load_settings(settings_file(option)[0])


def load_if_any(option: Path | None) -> Settings | None:
    """The settings, or None where nobody named a file and the default one does not exist.

    Posting and verifying work without settings; a file that was named must exist all the same.
    """
    file, named = settings_file(option)
    if not named and not file.exists():
        return None
    return load(option)


def lane_of(settings: Settings, name: str | None) -> LaneSettings:
    """The lane named, or the only one. Raises UsageError."""
    names = ", ".join(lane.name for lane in settings.lanes)
    if name is None:
        if len(settings.lanes) > 1:
            raise UsageError("there are several lanes", hint=f"name one with --lane: {names}")
        return settings.lanes[0]
    for lane in settings.lanes:
        if lane.name == name:
            return lane
    raise UsageError(f"there is no lane {name!r}", hint=f"the settings have: {names}")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's asynchronous part to its end."""
    return asyncio.run(work)


def require_settings(settings: Settings | None, what: str) -> Settings:
    """The settings, or a SettingsError that says what they are needed for."""
    if settings is None:
        raise SettingsError(f"{what} needs settings", hint="write them with `gpunode init`, or name a file: --settings")
    return settings
