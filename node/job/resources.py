"""The `resources` of an operation: what is to be fetched, and with which login."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from node.job.arguments import Unfit, mount_path, text, texts
from node.job.remote import REMOVE_IF_EMPTY
from node.logins import ResourceLogin
from node.plan_records import Bucket, Resource, ResourceKind

OLLAMA_FOLDER = "/root/.ollama/models"
"""Where Ollama looks for models unless it is told otherwise."""


def read_resources(entries: Any) -> tuple[tuple[Resource, ResourceLogin | None], ...]:
    """Each resource with its login, in the definition's order. Raises Unfit."""
    if entries is None:
        return ()
    if not isinstance(entries, list | tuple):
        raise Unfit("resources is no list")
    return tuple(_read(entries))


def _read(entries: list[Any] | tuple[Any, ...]) -> Iterator[tuple[Resource, ResourceLogin | None]]:
    for entry in entries:
        # Of several such markers only the first is taken out.
        if entry == REMOVE_IF_EMPTY:
            continue
        kind = entry.get("type") if isinstance(entry, Mapping) else None
        if kind == "S3":
            yield _s3(entry)
        elif kind == "HF":
            yield _hugging_face(entry)
        elif kind == "Ollama":
            target = mount_path("target", entry.get("target") or OLLAMA_FOLDER)
            yield Resource(ResourceKind.OLLAMA, target, model=_given("model", entry)), None
        else:
            raise Unfit("a resource is none of S3, HF, Ollama")


def _s3(entry: Mapping[str, Any]) -> tuple[Resource, ResourceLogin | None]:
    login = _iam(entry.get("IAM"))
    bucket, url = text("bucket", entry.get("bucket")), text("url", entry.get("url"))
    resource = Resource(
        ResourceKind.S3,
        mount_path("target", entry.get("target")),
        buckets=_buckets(entry, url, bucket),
        # The bucket's name goes with the address only where there is a login (Nosana node).
        bucket=bucket if url and login is not None else "",
        writable=entry.get("allowWrite") is True,
        region=login.region if login is not None else "",
    )
    return resource, login


def _buckets(entry: Mapping[str, Any], url: str, bucket: str) -> tuple[Bucket, ...]:
    # One address wins over several (Nosana node).
    if url:
        return (Bucket(url, texts("files", entry.get("files"))),)
    several = entry.get("buckets")
    if several:
        if not isinstance(several, list | tuple) or not all(isinstance(item, Mapping) for item in several):
            raise Unfit("buckets is no list of objects")
        return tuple(Bucket(_given("url", item), texts("files", item.get("files"))) for item in several)
    if bucket:
        return (Bucket(f"s3://{bucket}", texts("files", entry.get("files"))),)
    raise Unfit("an S3 resource names no url, bucket or buckets")


def _iam(value: Any) -> ResourceLogin | None:
    if not isinstance(value, Mapping):
        return None
    return ResourceLogin(
        access_key=text("ACCESS_KEY_ID", value.get("ACCESS_KEY_ID")),
        secret_key=text("SECRET_ACCESS_KEY", value.get("SECRET_ACCESS_KEY")),
        region=text("REGION", value.get("REGION")),
    )


def _hugging_face(entry: Mapping[str, Any]) -> tuple[Resource, ResourceLogin | None]:
    token = text("accessToken", entry.get("accessToken"))
    resource = Resource(
        ResourceKind.HF,
        mount_path("target", entry.get("target")),
        repo=_given("repo", entry),
        revision=text("revision", entry.get("revision")),
        files=texts("files", entry.get("files")),
    )
    return resource, ResourceLogin(token=token) if token else None


def _given(name: str, entry: Mapping[str, Any]) -> str:
    found = text(name, entry.get(name))
    if not found:
        raise Unfit(f"a resource names no {name}")
    return found
