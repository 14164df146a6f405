"""The built-in jobs: posted by name, to a localnet, their images built by this machine's engine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from node.cli import output
from node.errors import UsageError


@dataclass(frozen=True, slots=True)
class Posting:
    """What is posted: the definition's bytes, the name it is uploaded under, and which built-in job it is, if any."""

    body: bytes
    name: str
    builtin: str | None = None


def posting(wanted: Path) -> Posting:
    """A file's definition (`-` is stdin), or the built-in one of that name where there is no such file.

    Raises JobError, or LocalnetError when a built-in one has no Python to build with.
    """
    from node.cli.job.files import read_definition
    from node.localnet import recipes

    name = str(wanted)
    if name in recipes.names() and not wanted.exists():
        return Posting(json.dumps(recipes.definition(name)).encode(), f"{name}.json", name)
    return Posting(read_definition(wanted), wanted.name if name != "-" else "job.json")


async def ensure_runnable(name: str, cluster: str) -> None:
    """Have the built-in job's image in this machine's engine. Raises UsageError on any chain but a localnet."""
    from node.localnet.images import ensure_image

    if cluster != "localnet":
        raise UsageError(
            f"the image of {name} is in this machine's engine only: no other host can run it",
            hint="post it to a localnet; elsewhere, push an image to a registry and post a definition of your own",
        )
    image = await ensure_image(name, output.note)
    output.note(f"image {image.tag} {'built' if image.built else 'found'}")


def list_builtin(as_json: bool) -> None:
    """Print the built-in jobs."""
    from node.localnet import recipes

    told = {name: recipes.about(name) for name in recipes.names()}
    document = [{"name": name, "summary": about.summary, "model": about.model} for name, about in told.items()]
    output.emit(document, as_json, lambda: _show(document))


def _show(document: list[dict[str, str]]) -> None:
    for job in document:
        output.line(f"{job['name']:<8}  {job['summary']}")
        output.line(f"{'':<8}  model: {job['model']}")
