"""What the agent and its download helper say to each other: one JSON document a line.

To the helper on its standard input: first a `Request`, then an `Answer` to each of its questions. From it on its
standard output: `Event`s. Logins travel in the request only, never in arguments or the environment, which other
processes of the host can read.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from node.logins import ResourceLogin
from node.plan_records import Resource, ResourceKind
from node.settings_resources import ResourceSettings

LINE_BYTES = 1 << 22
"""Longest request; a definition with all its addresses and names is smaller."""
EVENT_BYTES = 1 << 16
"""Longest event."""


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Address(_Wire):
    """One S3 address and what to take of it; no `files`: all."""

    url: str
    files: tuple[str, ...] = ()


class Login(_Wire):
    """Credentials; empty where there are none."""

    access_key: str = Field(default="", repr=False)
    secret_key: str = Field(default="", repr=False)
    region: str = ""
    token: str = Field(default="", repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What makes this login another one than the next. The region is none: it says where, not who."""
        return tuple(part for part in (self.access_key, self.secret_key, self.token) if part)


class Bounds(_Wire):
    """What one resource may cost."""

    total_bytes: int
    files: int
    parallel: int
    patience: float
    longest: float


class Request(_Wire):
    """One resource to list and then, perhaps, to download."""

    kind: ResourceKind
    bounds: Bounds
    addresses: tuple[Address, ...] = ()
    bucket: str = ""
    repo: str = ""
    revision: str = ""
    files: tuple[str, ...] = ()
    model: str = ""
    login: Login = Login()
    denied: tuple[str, ...] = ()
    """Public networks that the operator closes."""
    server: str
    """The Hub, the registry, or where s3:// addresses lead."""

    @property
    def shown(self) -> str:
        """As people see it: kind and place, without query, login or control characters."""
        if self.kind is ResourceKind.S3:
            place = self.addresses[0].url.partition("?")[0] if self.addresses else ""
            place = re.sub(r"//[^/]*@", "//", place)
            more = len(self.addresses) - 1
            place += f" and {more} more" if more > 0 else ""
        else:
            place = self.repo or self.model
        readable = "".join(each if each.isprintable() else "?" for each in place)
        return f"{self.kind} {readable[:200]}"


class Answer(_Wire):
    """The agent's answer to `listing` (where to put the files, or None: no need) or to `may` (whether)."""

    staging: str | None = None
    may: bool = False


class Event(_Wire):
    """What the helper says.

    `listing`: what there is, `fingerprint` being a hash of names, sizes and content addresses; waits for an answer.
    `may`: may this host and port be reached although they are not public; waits for an answer.
    `status`: how far it is. `done`: all files are whole and durable. `failed`: why not; the last one.
    """

    event: Literal["listing", "may", "status", "done", "failed"]
    fingerprint: str = ""
    host: str = ""
    port: int = 0
    bytes_total: int = 0
    bytes_current: int = 0
    files_total: int = 0
    files_current: int = 0
    message: str = ""
    hint: str = ""
    status: int | None = None


def request_for(
    resource: Resource, login: ResourceLogin | None, settings: ResourceSettings, denied: tuple[str, ...] = ()
) -> Request:
    """The request for a resource of a plan, with the login that its definition brings along."""
    server = {ResourceKind.S3: settings.s3, ResourceKind.HF: settings.hub, ResourceKind.OLLAMA: settings.ollama}
    given = Login()
    if login is not None:
        given = Login(
            access_key=login.access_key,
            secret_key=login.secret_key,
            region=login.region or resource.region,
            token=login.token,
        )
    return Request(
        kind=resource.kind,
        bounds=Bounds(
            total_bytes=settings.job_bytes,
            files=settings.files,
            parallel=settings.parallel,
            patience=settings.patience,
            longest=settings.longest,
        ),
        addresses=tuple(Address(url=_mirrored(b.url, settings.mirrors), files=b.files) for b in resource.buckets),
        # The bucket's name counts only together with a login, as in the network's own nodes.
        bucket=resource.bucket if given.access_key else "",
        repo=resource.repo,
        revision=resource.revision,
        files=resource.files,
        model=resource.model,
        login=given,
        denied=denied,
        server=server[resource.kind],
    )


def _mirrored(url: str, mirrors: dict[str, str]) -> str:
    for beginning, instead in mirrors.items():
        rest = url[len(beginning) :]
        # Up to the end of a part of the path: another bucket may begin with the same letters.
        if url.startswith(beginning) and (beginning.endswith("/") or rest[:1] in ("", "/")):
            return instead + rest
    return url
