"""The logins in a definition, read from it each time they are needed. They are in no plan, journal or result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from node.job.models import ContainerRun, Definition
from node.job.store import Store
from node.logins import Credentials, DockerLogin, ResourceLogin

_NO_LOGIN = Credentials()


def credentials_of(definition: Definition, index: int, store: Store) -> Credentials:
    """What the operation at a place (from 0) logs in with, its literals filled in.

    The resources' logins are in the order of the planned operation's resources. Raises LiteralUnresolved.
    """
    del store
    args = definition.ops[index].args
    if not isinstance(args, ContainerRun):
        return _NO_LOGIN
    given = args.model_dump(by_alias=True, exclude_unset=True, mode="json")
    return Credentials(
        docker=_docker((given.get("authentication") or {}).get("docker")),
        resources=tuple(_resource(entry) for entry in given.get("resources") or () if isinstance(entry, Mapping)),
    )


def _docker(login: Mapping[str, Any] | None) -> DockerLogin | None:
    if not login:
        return None
    return DockerLogin(**{key: str(login[key]) for key in ("username", "password", "email", "server") if key in login})


def _resource(entry: Mapping[str, Any]) -> ResourceLogin | None:
    iam, token = entry.get("IAM"), entry.get("accessToken")
    if iam:
        return ResourceLogin(
            access_key=str(iam.get("ACCESS_KEY_ID", "")),
            secret_key=str(iam.get("SECRET_ACCESS_KEY", "")),
            region=str(iam.get("REGION", "")),
        )
    return ResourceLogin(token=str(token)) if token else None
