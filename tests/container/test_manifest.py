"""How large an image is, by a registry's word."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest

from node.container.manifest import Manifests
from node.container.origin import local_registries
from tests.e2e import images
from tests.e2e.registry import registry

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
MANIFEST = {"schemaVersion": 2, "config": {"size": 7}, "layers": [{"size": 100}, {"size": 23}]}
INDEX = {
    "manifests": [
        {"digest": "sha256:other", "platform": {"os": "linux", "architecture": "s390x"}},
        {"digest": "sha256:mine", "platform": {"os": "linux", "architecture": ARCHITECTURE}},
    ]
}


@asynccontextmanager
async def told_by(answer: Callable[[httpx.Request], httpx.Response]) -> AsyncIterator[Manifests]:
    manifests = Manifests(httpx.AsyncClient(transport=httpx.MockTransport(answer)))
    yield manifests
    await manifests.aclose()


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("busybox", "https://registry-1.docker.io/v2/library/busybox/manifests/latest"),
        ("docker.io/vllm/vllm-openai:v1", "https://registry-1.docker.io/v2/vllm/vllm-openai/manifests/v1"),
        ("ghcr.io/a/b/c:2", "https://ghcr.io/v2/a/b/c/manifests/2"),
        ("host:5000/x@sha256:ab", "https://host:5000/v2/x/manifests/sha256:ab"),
        ("localhost:5000/x", "http://localhost:5000/v2/x/manifests/latest"),
    ],
)
async def test_where_it_asks(reference: str, url: str) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json=MANIFEST)

    async with told_by(answer) as manifests:
        assert await manifests.compressed_bytes(reference) == 123
    assert asked == [url]


async def test_an_index_and_an_anonymous_token() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.example":
            assert dict(request.url.params) == {"service": "reg", "scope": "repository:library/busybox:pull"}
            return httpx.Response(200, json={"token": "T"})
        if request.headers.get("authorization") != "Bearer T":
            challenge = 'Bearer realm="https://auth.example/token",service="reg"'
            return httpx.Response(401, headers={"www-authenticate": challenge})
        return httpx.Response(200, json=MANIFEST if request.url.path.endswith("sha256:mine") else INDEX)

    async with told_by(answer) as manifests:
        assert await manifests.compressed_bytes("busybox") == 123


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(404),
        httpx.Response(301, headers={"location": "http://127.0.0.1/"}),
        httpx.Response(200, content=b"not JSON"),
        httpx.Response(200, json=[1]),
        httpx.Response(200, json={"layers": [{"size": -5}]}),
        httpx.Response(200, json={"layers": [{"size": "5"}]}),
        httpx.Response(200, json={"layers": None}),
        httpx.Response(200, json={"manifests": [{"platform": None}, 5]}),
        httpx.Response(200, json={"schemaVersion": 1, "fsLayers": []}),
        httpx.Response(200, content=b" " * (5 * 1024 * 1024)),
        httpx.Response(401),
        httpx.Response(401, headers={"www-authenticate": 'Basic realm="x"'}),
        httpx.Response(401, headers={"www-authenticate": 'Bearer realm="http://127.0.0.1:1/"'}),
    ],
)
async def test_an_odd_answer_tells_nothing(response: httpx.Response) -> None:
    asked: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return response

    async with told_by(answer) as manifests:
        assert await manifests.compressed_bytes("busybox") is None
    assert len(asked) == 1, "nothing else is asked because of it"


async def test_names_that_are_none_ask_nobody() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request.url)

    async with told_by(answer) as manifests:
        assert await manifests.compressed_bytes("a/../../b") is None
        assert await manifests.compressed_bytes("") is None


@pytest.mark.docker
async def test_a_real_registry_tells_what_the_engine_pushed(
    docker_client: docker.APIClient, busybox_image: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            with registry(Path(folder)) as host:
                name = f"{host}/busybox"
                docker_client.tag(busybox_image, name, "1")
                try:
                    for line in docker_client.push(name, tag="1", stream=True, decode=True):
                        assert "error" not in line, line
                finally:
                    docker_client.remove_image(f"{name}:1")
                manifests = Manifests(exempt=local_registries)
                size = await manifests.compressed_bytes(f"{name}:1")
                assert await manifests.compressed_bytes(f"{name}:none") is None
                await manifests.aclose()
                blobs = sorted(path.stat().st_size for path in Path(folder).rglob("data"))
        except images.NoEngine as error:
            pytest.skip(str(error))
    assert size == blobs[-1], "one layer, the largest thing in the registry"
