"""Image references: taking them apart, and telling whether an image really bears one."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*", re.ASCII)


def is_reference(text: str) -> bool:
    """Whether an engine can be asked about it at all.

    Coarser than an engine's own grammar, which has the last word. What fails here would be another request than
    meant: no name at all, or a path that leads to something other than images.
    """
    return _ALLOWED.fullmatch(text) is not None and ".." not in text


def split_reference(reference: str) -> tuple[str, str]:
    """Repository and tag (or `sha256:…`) of an image reference; `latest` where neither is given."""
    repository, _, digest = reference.partition("@")
    if digest:
        head, _, tail = repository.rpartition("/")
        return (f"{head}/" if head else "") + tail.split(":", 1)[0], digest
    head, _, tail = reference.rpartition("/")
    name, _, tag = tail.partition(":")
    return (f"{head}/{name}" if head else name), tag or "latest"


def familiar(repository: str) -> str:
    """A repository's name as the engine shows it: images of its default registry go by their short names."""
    for prefix in ("docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/", "library/"):
        if repository.startswith(prefix):
            return repository.removeprefix(prefix)
    return repository


def is_named(reference: str, names: Iterable[str]) -> bool:
    """Whether one of an image's names (tags, digests) is this reference.

    Engines also find images by the beginning of their id; a job that names one so would get an image of this host
    that no registry knows under that name, past every rule on image names.
    """
    wanted = _whole(reference)
    return any(_whole(name) == wanted for name in names)


def _whole(reference: str) -> tuple[str, str]:
    repository, version = split_reference(reference)
    return familiar(repository), version
