"""The parts of a plan beyond containers: services, health checks, volumes, remote resources, restarts.

Records like those of `records.py`, and kept in the journal within a Plan; so none of them holds a credential.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class HealthCheckKind(StrEnum):
    """How a service is asked whether it is well."""

    HTTP = "http"
    WEBSOCKET = "websocket"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One question to a service, from inside the job's network."""

    kind: HealthCheckKind
    continuous: bool
    """Asked on after start-up."""
    restart_on_failure: bool = False
    path: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: Any = None
    expected_status: int = 200
    expected_response: str = ""
    """Of a websocket: a part of its first answer."""


@dataclass(frozen=True, slots=True)
class Service:
    """A port that an operation exposes."""

    id: str
    """First label of its URL's host; the same wherever the service is named."""
    port: str
    """As resolved: a number, or a range `a-b` of which the first port is served."""
    private: bool = False
    """Its id is random and told to the job's owner only."""
    health_checks: tuple[HealthCheck, ...] = ()
    deployment: str = ""
    """Id that the operation shares with others of the same deployment, here and on other hosts; empty: none."""
    group_key: str = field(default="", repr=False)
    """What those who share it prove to each other; empty without a deployment."""


class ResourceKind(StrEnum):
    """Where remote data come from."""

    S3 = "S3"
    HF = "HF"
    OLLAMA = "Ollama"


@dataclass(frozen=True, slots=True)
class Bucket:
    """One S3 address and what to take of it."""

    url: str
    """`s3://BUCKET[/PREFIX]`, or an http(s) address of an S3 server with the bucket in its path."""
    files: tuple[str, ...] = ()
    """Keys below the address; empty: all."""


@dataclass(frozen=True, slots=True)
class Resource:
    """Remote data that an operation finds mounted. Its credentials are read from the definition when it is fetched."""

    kind: ResourceKind
    target: str
    """Mount path in the container."""
    buckets: tuple[Bucket, ...] = ()
    """S3 only, at least one."""
    bucket: str = ""
    """S3 only: the bucket's name where it is given beside the address and a login."""
    repo: str = ""
    """Hugging Face only: `owner/name`."""
    revision: str = ""
    """Hugging Face only; empty: `main`."""
    files: tuple[str, ...] = ()
    """Hugging Face only; empty: all."""
    model: str = ""
    """Ollama only: `name[:tag]`."""
    writable: bool = False
    """The job gets a copy of its own, gone with it."""
    region: str = ""


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """A volume of the job and where a container has it."""

    volume: str
    """The engine's name: `<job>-<name>`."""
    target: str


@dataclass(frozen=True, slots=True)
class FolderMount:
    """A folder of this host's cache of remote data, given to a container."""

    folder: str
    target: str
    writable: bool = False
    size: int = 0
    """Bytes that are in it from the beginning, in a copy that the job may write to: not written by the job."""


class RestartPolicy(StrEnum):
    """When a container that has ended is started again."""

    NO = "no"
    ALWAYS = "always"
    UNLESS_STOPPED = "unless-stopped"
    ON_FAILURE = "on-failure"


@dataclass(frozen=True, slots=True)
class RestartRule:
    """A restart policy, and how often at most."""

    policy: RestartPolicy = RestartPolicy.NO
    tries: int | None = None
    """None: without limit."""


NO_RESTART = RestartRule()
