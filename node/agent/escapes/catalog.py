"""The list of known escapes that comes with this gpunode."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from node.agent.escapes.versions import Version
from node.errors import GpunodeError

SCHEMA = 1
_FILE = "known_escapes.yaml"


class Component(StrEnum):
    """Software between a job and the host."""

    TOOLKIT = "toolkit"
    DRIVER = "driver"
    RUNC = "runc"
    CONTAINERD = "containerd"
    DOCKER = "docker"

    @property
    def label(self) -> str:
        """For people."""
        names = {"toolkit": "NVIDIA Container Toolkit", "driver": "NVIDIA driver"}
        return names.get(self.value, self.value)


Need = Literal[
    "shared-volume",
    "console",
    "privileged",
    "host-network",
    "image-build",
    "cri",
    "virtual-gpu",
    "toolkit-options",
    "archive-copy",
    "other-engine",
]

GIVEN: frozenset[Need] = frozenset()
"""Of what an escape may need, what gpunode's containers have (node/container/profile.py)."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Range(_Part):
    """Versions that are open."""

    from_: str | None = Field(default=None, alias="from")
    below: str

    @field_validator("from_", "below")
    @classmethod
    def _version(cls, text: str | None) -> str | None:
        if text is not None:
            Version(text)
        return text

    def holds(self, version: Version) -> bool:
        """Whether the version is in it."""
        return (self.from_ is None or Version(self.from_) <= version) and version < Version(self.below)


class FixedPackage(_Part):
    """A distribution's package that carries the fix under an older number."""

    os: str
    release: str
    package: str
    fixed: str


class Escape(_Part):
    """One known way out."""

    id: str = Field(pattern=r"^(CVE-\d{4}-\d{4,}|NVIDIA-\d{4,})$")
    component: Component
    title: str
    severity: Literal["low", "medium", "high", "critical"]
    score: float = Field(ge=0, le=10)
    cves: tuple[str, ...] = ()
    affected: tuple[Range, ...] = ()
    branches: dict[int, str] = {}
    packages: tuple[FixedPackage, ...] = ()
    needs: tuple[Need, ...] = ()
    why: str
    sources: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _versions(self) -> Escape:
        if bool(self.affected) == bool(self.branches):
            raise ValueError("either affected or branches")
        for branch, text in self.branches.items():
            if Version(text).branch != branch:
                raise ValueError(f"{text} is not of branch {branch}")
        return self

    @property
    def blocks(self) -> bool:
        """Whether a job could use it as gpunode runs jobs."""
        return set(self.needs) <= GIVEN

    def concerns(self, version: Version) -> bool:
        """Whether that release is open to it, going by its number."""
        if self.affected:
            return any(each.holds(version) for each in self.affected)
        fixed = self.branches.get(version.branch)
        if fixed is not None:
            return version < Version(fixed)
        return version.branch < max(self.branches)

    def fix(self, version: Version) -> str:
        """The first version with the fix that is worth going to from this one."""
        if self.branches:
            return self.branches.get(version.branch) or self.branches[max(self.branches)]
        later = [each.below for each in self.affected if version < Version(each.below)]
        return min(later, key=Version) if later else self.affected[-1].below

    def is_accepted(self, accepted: frozenset[str]) -> bool:
        """Whether the settings accept it: by its own name, or each of its CVEs by name."""
        return self.id in accepted or (bool(self.cves) and accepted.issuperset(self.cves))


class Catalog(_Part):
    """The whole list."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal[1] = Field(alias="schema")
    date: date
    sources: tuple[str, ...]
    entries: tuple[Escape, ...] = Field(min_length=1)
    left_out: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> Catalog:
        ids = [entry.id for entry in self.entries]
        if len(set(ids)) != len(ids):
            raise ValueError("an id stands twice")
        return self

    def of(self, component: Component) -> tuple[Escape, ...]:
        """The entries on one component."""
        return tuple(entry for entry in self.entries if entry.component is component)

    def names(self) -> frozenset[str]:
        """Everything that `security.accept` may name."""
        return frozenset(name for entry in self.entries for name in (entry.id, *entry.cves))


def parse_catalog(text: str) -> Catalog:
    """The list in a file's text; raises GpunodeError."""
    try:
        return Catalog.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        raise GpunodeError(
            f"the list of known escapes cannot be read: {error}", hint="install this gpunode anew"
        ) from error


@cache
def catalog() -> Catalog:
    """The list that comes with this gpunode."""
    return parse_catalog(resources.files(__package__).joinpath(_FILE).read_text("utf-8"))
