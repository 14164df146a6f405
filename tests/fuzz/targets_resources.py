"""What sources of remote data send: lists of files, manifests, headers; and the addresses that definitions name."""

from __future__ import annotations

import asyncio
import json
import posixpath
from typing import Any

import httpx

from node.content.resources.checksums import is_sum, stated_sums
from node.content.resources.huggingface import HubSource
from node.content.resources.listing import Listing, RemoteFile, listing_of
from node.content.resources.ollama import OllamaSource
from node.content.resources.places import AMAZON, places_of
from node.content.resources.s3 import S3Source
from node.content.resources.web import span_of
from node.content.resources.wire import Address, Bounds, Request
from node.plan_records import ResourceKind
from tests.content.resources.hub import COMMIT
from tests.content.resources.store import Store, list_page
from tests.fuzz.target import Target

LOOP = asyncio.new_event_loop()
BOUNDS = Bounds(total_bytes=1 << 40, files=1000, parallel=1, patience=1, longest=1)


class _Liar:
    """Answers every request with the same bytes, and the first ones of the Hub as the Hub."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self, url: str, headers: object = None, **_: Any) -> tuple[bytes, httpx.Headers]:
        if "/revision/" in url:
            return json.dumps({"sha": COMMIT, "siblings": []}).encode(), httpx.Headers()
        return self._body, httpx.Headers()


def _listed(source: Any) -> None:
    """The files as they would be fetched: inside their folder, and within bounds."""
    files: list[RemoteFile] = LOOP.run_until_complete(source.files())
    listing: Listing = listing_of(files, "nonce", most_files=BOUNDS.files, most_bytes=BOUNDS.total_bytes)
    assert listing.total <= BOUNDS.total_bytes
    for file in listing.files:
        assert posixpath.normpath(f"/data/{file.name}") == f"/data/{file.name}"
        assert "\0" not in file.name
        assert all(is_sum(name, value) for name, value in file.sums.items())
        assert file.literal is not None or httpx.URL(file.url).host == "example.org"


def bucket(body: bytes) -> None:
    """The list of a bucket."""
    addresses = (Address(url="https://example.org/bucket/pre"),)
    _listed(S3Source(_Liar(body), Request(kind=ResourceKind.S3, bounds=BOUNDS, addresses=addresses, server=AMAZON)))  # type: ignore[arg-type]


def tree(body: bytes) -> None:
    """The tree of a repository."""
    request = Request(kind=ResourceKind.HF, bounds=BOUNDS, repo="owner/name", server="https://example.org")
    _listed(HubSource(_Liar(body), request))  # type: ignore[arg-type]


def manifest(body: bytes) -> None:
    """The manifest of a model."""
    request = Request(kind=ResourceKind.OLLAMA, bounds=BOUNDS, model="tiny", server="https://example.org")
    _listed(OllamaSource(_Liar(body), request))  # type: ignore[arg-type]


def address(body: bytes) -> None:
    """An address of S3 data, with a bucket beside it."""
    url, _, name = body.decode("utf-8", "replace").partition("\n")
    for place in places_of(url, server=AMAZON, region="", bucket=name):
        assert httpx.URL(place.object_url("a b/ü")).host
        assert httpx.URL(place.list_url(place.prefix, "t&=")).params["prefix"] == place.prefix


def headers(body: bytes) -> None:
    """Headers of an answer with a part of a file, or the whole."""
    rows = [row.partition(":") for row in body.decode("latin-1").split("\n")[:50]]
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, _, value in rows]
    for status in (200, 206):
        response = httpx.Response(status, headers=fields)
        span = span_of(response)
        assert span is None or span.start >= 0
        assert all(is_sum(name, value) for name, value in stated_sums(response).items())


def _trees() -> tuple[bytes, ...]:
    small = {"type": "file", "oid": "0" * 40, "size": 3, "path": "folder/config.json"}
    large = {"oid": "0" * 64, "size": 5 << 30, "pointerSize": 134}
    return (json.dumps([small, {**small, "path": "model.safetensors", "lfs": large}, {"type": "directory"}]).encode(),)


def _manifests() -> tuple[bytes, ...]:
    row = {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:" + "0" * 64, "size": 9}
    return (
        json.dumps({"schemaVersion": 2, "config": row, "layers": [{**row, "digest": "sha256:" + "1" * 64}]}).encode(),
    )


TARGETS = (
    Target("s3-list", bucket, lambda: (list_page(Store({"pre/a": b"x", "pre/b/c": b"y"}), "pre").encode(),)),
    Target("hub-tree", tree, _trees),
    Target("model-manifest", manifest, _manifests),
    Target(
        "s3-address",
        address,
        lambda: (b"s3://bucket/a/b", b"https://b.s3.eu-west-1.amazonaws.com/a", b"https://minio:9000/b/a\nb"),
    ),
    Target(
        "range-headers",
        headers,
        lambda: (b"content-range: bytes 0-3/9\ncontent-length: 4", b"x-amz-checksum-sha256: " + b"A" * 43 + b"="),
    ),
)
