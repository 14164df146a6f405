"""Resources as a plan has them, and what has come of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from node.content.resources.desk import ResourceDesk
from node.logins import ResourceLogin
from node.plan_records import Bucket, FolderMount, Resource, ResourceKind


def s3(*urls: str, files: tuple[str, ...] = (), writable: bool = False, bucket: str = "") -> Resource:
    """S3 data at /data."""
    buckets = tuple(Bucket(url, files) for url in urls)
    return Resource(ResourceKind.S3, "/data", buckets=buckets, writable=writable, bucket=bucket)


def hugging_face(repo: str = "owner/name", revision: str = "", files: tuple[str, ...] = ()) -> Resource:
    """A repository at /data."""
    return Resource(ResourceKind.HF, "/data", repo=repo, revision=revision, files=files)


def ollama(model: str) -> Resource:
    """A model where Ollama looks for it."""
    return Resource(ResourceKind.OLLAMA, "/root/.ollama/models", model=model)


def known(*runs: str) -> Callable[[], Awaitable[tuple[str, ...]]]:
    """Tells the runs that are known, as the journal does."""

    async def tell() -> tuple[str, ...]:
        return runs

    return tell


async def have(
    desk: ResourceDesk,
    *resources: Resource,
    run: str = "run",
    operation: int = 0,
    login: ResourceLogin | None = None,
    said: list[str] | None = None,
) -> tuple[FolderMount, ...]:
    """Prepare resources for a run."""
    lines = said if said is not None else []
    return await desk.prepare(run, "job", operation, resources, (login,) * len(resources), lines.append)


def contents(mount: FolderMount | Path) -> dict[str, bytes]:
    """All files of a folder by their names."""
    folder = mount if isinstance(mount, Path) else Path(mount.folder)
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
