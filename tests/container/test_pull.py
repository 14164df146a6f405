"""Pulls: progress added up, errors named, and a real registry."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import docker
import docker.errors
import pytest

from node.container.docker import DockerEngine
from node.container.engine import PullProgress
from node.container.images import progress_line
from node.container.pull import PullTally, failed
from node.container.reference import is_named
from node.container.transport import json_lines
from node.errors import EngineRejected, ImagePullFailed
from tests.e2e import images
from tests.e2e.registry import registry


def layer(name: str, status: str, current: int | None = None, total: int | None = None) -> dict[str, Any]:
    detail = {} if current is None else {"current": current, "total": total}
    return {"id": name, "status": status, "progressDetail": detail}


def test_layers_are_added_up() -> None:
    tally = PullTally("x")
    lines = [
        {"status": "Pulling from library/x", "id": "latest"},
        layer("a", "Pulling fs layer"),
        layer("b", "Already exists"),
        layer("a", "Downloading", 10, 100),
        layer("c", "Downloading", 900, 200),
        layer("a", "Download complete"),
        layer("a", "Extracting", 1, 100),
    ]
    for line in lines:
        tally.add(line)
    assert tally.progress() == PullProgress("x", layers_done=1, layers_total=3, bytes_done=300, bytes_total=300)
    tally.add(layer("a", "Pull complete"))
    assert tally.progress().layers_done == 2
    assert progress_line(tally.progress()) == "pulling x: 2 of 3 layers, 0 of 0 MB"


@pytest.mark.parametrize(
    "line", [{}, {"status": "Digest: sha256:0"}, {"id": 5, "status": "x"}, {"id": "a", "status": None}]
)
def test_lines_that_say_nothing_of_a_layer(line: dict[str, Any]) -> None:
    tally = PullTally("x")
    assert tally.add(line) is None
    assert tally.progress().layers_total == 0


@pytest.mark.parametrize("detail", [None, [], {"current": "1", "total": -5}, {"total": True}])
def test_odd_progress_counts_nothing(detail: Any) -> None:
    tally = PullTally("x")
    tally.add({"id": "a", "status": "Downloading", "progressDetail": detail})
    assert (tally.progress().bytes_done, tally.progress().bytes_total in (0, 1)) == (0, True)


@pytest.mark.parametrize(
    ("reason", "given", "status", "hint"),
    [
        ("manifest for x not found: manifest unknown", 404, 404, "name and tag"),
        ("Get https://r/v2/: dial tcp: lookup r: no such host", 500, 500, "network and DNS"),
        ("error parsing HTTP 503 response body", None, None, "docker pull"),
        ("unexpected status code 503 Service Unavailable", None, 503, "docker pull"),
        ("received unexpected HTTP status: 502 Bad Gateway", None, 502, "docker pull"),
        ("toomanyrequests: You have reached your pull rate limit", None, None, "wait"),
        ("write /var/x: no space left on device", None, None, "disk"),
    ],
)
def test_errors_carry_a_status_and_a_hint(reason: str, given: int | None, status: int | None, hint: str) -> None:
    error = failed("x", reason, given)
    assert error.message == f"image x cannot be pulled: {reason}"
    assert error.status == status
    assert hint in error.hint


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_json_lines_across_chunks() -> None:
    got = [line async for line in json_lines(chunks(b'{"a":', b'1}\r\n\n{"b"', b':2}\n[1]\n{"c":3}'))]
    assert got == [{"a": 1}, {"b": 2}, {}, {"c": 3}]


@pytest.mark.parametrize("parts", [(b"not json\n",), (b"x" * 3_000_000, b"x" * 3_000_000)])
async def test_json_lines_refuse_what_is_none(parts: tuple[bytes, ...]) -> None:
    with pytest.raises(EngineRejected):
        _ = [line async for line in json_lines(chunks(*parts))]


# --- a real registry ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shelf(docker_client: docker.APIClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A repository with one image, `…:1`, that is not on the engine."""
    try:
        with registry(tmp_path_factory.mktemp("registry")) as host:
            source = images.image_of({"data": os.urandom(3_000_000)}, client=docker_client, name="pulled")
            docker_client.tag(source, f"{host}/shelf", tag="1")
            docker_client.push(f"{host}/shelf", tag="1")
            for name in (f"{host}/shelf:1", source):
                docker_client.remove_image(name)
            yield f"{host}/shelf"
            with contextlib.suppress(docker.errors.ImageNotFound):
                docker_client.remove_image(f"{host}/shelf:1")
    except images.NoEngine as error:
        pytest.skip(str(error))


@pytest.mark.docker
async def test_a_real_pull(docker_engine: DockerEngine, shelf: str) -> None:
    seen: list[PullProgress] = []
    assert await docker_engine.image(f"{shelf}:1") is None
    image = await docker_engine.pull(f"{shelf}:1", seen.append)
    assert image == await docker_engine.image(f"{shelf}:1")
    (digest,) = image.repo_digests
    assert image.digest_for(f"{shelf}:1") == digest.partition("@")[2] != image.id
    assert seen[-1].layers_done == seen[-1].layers_total == 1
    assert seen[-1].bytes_done == seen[-1].bytes_total > 3_000_000
    assert await docker_engine.image(digest) == image
    again = await docker_engine.pull(digest, seen.append)
    assert again.id == image.id


@pytest.mark.docker
async def test_a_tag_that_is_not_there(docker_engine: DockerEngine, shelf: str) -> None:
    with pytest.raises(ImagePullFailed, match=r"shelf:none cannot be pulled: .*not found") as raised:
        await docker_engine.pull(f"{shelf}:none", lambda _progress: None)
    assert raised.value.status == 404
    assert "name and tag" in raised.value.hint


MALFORMED = (
    "",
    " ",
    "UPPER/Case:tag",
    "busy box",
    "a\0b",
    "busybox@sha256:12",
    "host:1/a:b:c",
    "../containers/json",
    "-x",
)


@pytest.mark.docker
@pytest.mark.parametrize("reference", MALFORMED)
async def test_a_malformed_name_is_an_image_that_cannot_be_had(docker_engine: DockerEngine, reference: str) -> None:
    """Never an engine that does not answer, and never another request than one about images."""
    assert await docker_engine.image(reference) is None
    with pytest.raises(ImagePullFailed, match="cannot be pulled") as raised:
        await docker_engine.pull(reference, lambda _progress: None)
    assert raised.value.status is not None
    assert raised.value.status < 500


@pytest.mark.docker
async def test_an_image_is_not_found_by_its_id(
    docker_engine: DockerEngine, docker_client: docker.APIClient, busybox_image: str
) -> None:
    """A job that names the beginning of an id would get an image of this host past all rules on names."""
    found = await docker_engine.image(busybox_image)
    assert found is not None
    digits = found.id.removeprefix("sha256:")
    for name in (found.id, digits, digits[:12], f"{busybox_image.partition(':')[0]}@{found.id}"):
        assert docker_client.inspect_image(digits[:12])["Id"] == found.id
        assert await docker_engine.image(name) is None
    assert await docker_engine.image(f"docker.io/{busybox_image}") == found


@pytest.mark.parametrize(
    ("reference", "names", "named"),
    [
        ("busybox", ["busybox:latest"], True),
        ("docker.io/library/busybox:1", ["busybox:1"], True),
        ("busybox:1", ["busybox:2", "other:1"], False),
        ("a/b@sha256:12", ["a/b@sha256:12"], True),
        ("a/b:tag@sha256:12", ["a/b@sha256:12"], True),
        ("a/c@sha256:12", ["a/b@sha256:12"], False),
        ("host:5000/a", ["host:5000/a:latest"], True),
        ("host:5000/a", ["a:latest"], False),
        ("c0ffee", ["busybox:latest"], False),
        ("c0ffee", [], False),
    ],
)
def test_names_of_images(reference: str, names: list[str], named: bool) -> None:
    assert is_named(reference, names) is named
