"""The logins in a definition, read from it each time they are needed. They are in no plan, journal or result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from node.errors import LiteralUnresolved
from node.job.arguments import Unfit, text
from node.job.completion import arguments_of
from node.job.markers import interpolate
from node.job.models import Definition
from node.job.resources import read_resources
from node.job.store import Store
from node.logins import Credentials, DockerLogin


def credentials_of(definition: Definition, index: int, store: Store) -> Credentials:
    """What the operation at a place (from 0) logs in with, its literals filled in.

    The resources' logins are in the order of the planned operation's resources. Raises LiteralUnresolved, without
    quoting a value.
    """
    args = arguments_of(definition.source, index)
    with_logins = {key: args[key] for key in ("authentication", "resources") if key in args}
    filled = interpolate(with_logins, store)
    try:
        return Credentials(
            docker=_docker(filled.get("authentication")),
            resources=tuple(login for _, login in read_resources(filled.get("resources"))),
        )
    except Unfit as error:
        raise LiteralUnresolved(f"the logins of operation {index} cannot be read: {error.message}") from None


def _docker(authentication: Any) -> DockerLogin | None:
    login = authentication.get("docker") if isinstance(authentication, Mapping) else None
    if not isinstance(login, Mapping) or not login:
        return None
    return DockerLogin(
        username=text("username", login.get("username")),
        password=text("password", login.get("password")),
        email=text("email", login.get("email")),
        server=text("server", login.get("server")),
    )
