"""Whether what is installed here is open to known escapes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from node.agent.escapes.catalog import Catalog, Component, Escape
from node.agent.escapes.software import Installed, System
from node.agent.escapes.versions import Version, package_key


class Standing(StrEnum):
    """How a component stands to one entry."""

    SAFE = "safe"
    OPEN = "open"
    UNKNOWN = "unknown"
    """Its number says open; a distribution's fix would not show, and there is nothing to tell by."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One component beside the list."""

    installed: Installed
    blocking: tuple[Escape, ...]
    """Open, and a job could use it."""
    accepted: tuple[Escape, ...]
    """As blocking; the settings accept it."""
    out_of_reach: tuple[Escape, ...]
    """Open, and it needs what jobs do not have."""
    unknown: tuple[Escape, ...]
    """Perhaps open, and a job could use it."""

    @property
    def component(self) -> Component:
        """The component's name on the list."""
        return self.installed.component

    @property
    def name(self) -> str:
        """The component with its version."""
        number = self.installed.package_version or str(self.installed.version or "of unknown version")
        return f"{self.component.label} {number}"

    @property
    def floor(self) -> str:
        """The release from which none of what blocks is left; empty where nothing does."""
        version = self.installed.version
        if version is None or not self.blocking:
            return ""
        return max((entry.fix(version) for entry in self.blocking), key=Version)


def judge(
    catalog: Catalog, installed: Iterable[Installed], system: System, accepted: frozenset[str]
) -> tuple[Judgement, ...]:
    """One judgement per component; `accepted`: what the settings accept."""
    return tuple(_judge(catalog, each, system, accepted) for each in installed)


def _judge(catalog: Catalog, installed: Installed, system: System, accepted: frozenset[str]) -> Judgement:
    standings = [(entry, standing(entry, installed, system)) for entry in catalog.of(installed.component)]
    open_ = [entry for entry, how in standings if how is Standing.OPEN]
    in_reach = [entry for entry in open_ if entry.blocks]
    return Judgement(
        installed=installed,
        blocking=tuple(entry for entry in in_reach if not entry.is_accepted(accepted)),
        accepted=tuple(entry for entry in in_reach if entry.is_accepted(accepted)),
        out_of_reach=tuple(entry for entry in open_ if not entry.blocks),
        unknown=tuple(entry for entry, how in standings if how is Standing.UNKNOWN and entry.blocks),
    )


def standing(entry: Escape, installed: Installed, system: System) -> Standing:
    """How a component stands to one entry: by its release; and where that is too old, by its package."""
    if installed.version is None:
        return Standing.UNKNOWN
    if not entry.concerns(installed.version):
        return Standing.SAFE
    if not installed.package_version:
        return Standing.OPEN
    for package in entry.packages:
        if (package.os, package.release) == (system.id, system.release):
            fixed = package_key(package.fixed) <= package_key(installed.package_version)
            return Standing.SAFE if fixed else Standing.OPEN
    if installed.fixes is None:
        return Standing.UNKNOWN
    named = {entry.id, *entry.cves} & installed.fixes
    return Standing.SAFE if named else Standing.OPEN
