"""Logins that a definition brings along. They are read from it whenever they are needed and kept nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DockerLogin:
    """A login at an image registry."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    email: str = field(default="", repr=False)
    server: str = ""
    """The registry's host; empty: the image's own."""


@dataclass(frozen=True, slots=True)
class ResourceLogin:
    """A login at a store of remote data."""

    access_key: str = field(default="", repr=False)
    """S3."""
    secret_key: str = field(default="", repr=False)
    """S3."""
    region: str = ""
    """S3."""
    token: str = field(default="", repr=False)
    """Hugging Face."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one operation logs in with."""

    docker: DockerLogin | None = None
    resources: tuple[ResourceLogin | None, ...] = ()
    """In the order of the operation's resources."""
