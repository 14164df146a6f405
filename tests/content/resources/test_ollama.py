"""Ollama models from a real registry, laid out as Ollama keeps them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from node.errors import ResourceFailed
from tests.content.resources.conftest import MakeDesk
from tests.content.resources.wants import contents, have, ollama
from tests.e2e.images import NoEngine
from tests.e2e.registry import registry

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
WEIGHTS, TEMPLATE, CONFIG = b"GGUF" + bytes(range(256)) * 4000, b"{{ .Prompt }}", b'{"model_format":"gguf"}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry with two models."""
    try:
        with registry(tmp_path_factory.mktemp("registry")) as host:
            base = f"http://{host.replace('localhost', '127.0.0.1')}"
            for path in ("library/tiny", "someone/other"):
                push(base, path)
            yield base
    except NoEngine as absent:
        pytest.skip(str(absent))


def push(base: str, path: str) -> None:
    rows = [
        blob(base, path, CONFIG, "application/vnd.docker.container.image.v1+json"),
        blob(base, path, WEIGHTS, "application/vnd.ollama.image.model"),
        blob(base, path, TEMPLATE, "application/vnd.ollama.image.template"),
    ]
    manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": rows[0], "layers": rows[1:]}
    for tag in ("latest", "1b-q4"):
        answer = httpx.put(
            f"{base}/v2/{path}/manifests/{tag}", content=json.dumps(manifest), headers={"content-type": _MANIFEST}
        )
        assert answer.status_code == 201, answer.text


def blob(base: str, path: str, data: bytes, kind: str) -> dict[str, object]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    begun = httpx.post(f"{base}/v2/{path}/blobs/uploads/")
    answer = httpx.put(httpx.URL(begun.headers["location"]).copy_merge_params({"digest": digest}), content=data)
    assert answer.status_code == 201, answer.text
    return {"mediaType": kind, "digest": digest, "size": len(data)}


@pytest.mark.parametrize(
    ("model", "manifest"),
    [
        ("tiny", "library/tiny/latest"),
        ("tiny:1b-q4", "library/tiny/1b-q4"),
        ("someone/other:latest", "someone/other/latest"),
    ],
)
async def test_a_model_is_laid_out_as_ollama_keeps_it(
    make_desk: MakeDesk, server: str, model: str, manifest: str
) -> None:
    (mount,) = await have(make_desk(ollama=server), ollama(model))
    assert mount.target == "/root/.ollama/models"
    files = contents(mount)
    kept = json.loads(files.pop(f"manifests/registry.ollama.ai/{manifest}"))
    assert files == {f"blobs/sha256-{hashlib.sha256(data).hexdigest()}": data for data in (WEIGHTS, TEMPLATE, CONFIG)}
    named = [kept["config"]["digest"], *(layer["digest"] for layer in kept["layers"])]
    assert {name.replace(":", "-") for name in named} == {name.removeprefix("blobs/") for name in files}


async def test_a_model_that_is_not_there(make_desk: MakeDesk, server: str) -> None:
    with pytest.raises(ResourceFailed, match="status code 404"):
        await have(make_desk(ollama=server), ollama("tiny:none"))


@pytest.mark.parametrize("model", ["", "a/b/c/d", "../x", "x:..", "a b", "tiny:", "tiny:a/b:c", "host/../x", "%2e/x"])
async def test_names_that_are_none(make_desk: MakeDesk, model: str) -> None:
    with pytest.raises(ResourceFailed, match="no name of a model"):
        await have(make_desk(), ollama(model))


async def test_a_blob_damaged_in_the_registry(make_desk: MakeDesk, tmp_path: Path) -> None:
    try:
        with registry(tmp_path) as host:
            base = f"http://{host.replace('localhost', '127.0.0.1')}"
            push(base, "library/tiny")
            digest = hashlib.sha256(WEIGHTS).hexdigest()
            (stored,) = (tmp_path / "blobs").glob(f"docker/registry/v2/blobs/sha256/*/{digest}/data")
            stored.write_bytes(b"XXXX" + WEIGHTS[4:])
            with pytest.raises(ResourceFailed, match="does not match its checksum"):
                await have(make_desk(ollama=base), ollama("tiny"))
    except NoEngine as absent:
        pytest.skip(str(absent))
