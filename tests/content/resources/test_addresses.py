"""Readings of S3 addresses, names of files, and checksums as servers write them."""

from __future__ import annotations

import hashlib

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.content.resources.checksums import Sums, md5_of_etag, stated_sums
from node.content.resources.listing import RemoteFile, listing_of, require_name
from node.content.resources.own_host import own_closed
from node.content.resources.places import AMAZON, places_of
from node.content.resources.signature import signed
from node.content.resources.web import span_of
from node.content.resources.wire import Login, request_for
from node.errors import ResourceFailed
from node.plan_records import Bucket, Resource, ResourceKind
from node.public_network import AddressRefused
from node.settings_resources import ResourceSettings


def readings(url: str, *, server: str = AMAZON, region: str = "", bucket: str = "") -> list[tuple[str, str, str]]:
    found = places_of(url, server=server, region=region, bucket=bucket)
    return [(place.root, place.prefix, place.region) for place in found]


@pytest.mark.parametrize(
    ("url", "root", "prefix", "region"),
    [
        ("s3://data/a/b", "https://data.s3.amazonaws.com", "a/b", ""),
        ("s3://da.ta/a", "https://s3.amazonaws.com/da.ta", "a", ""),
        ("https://data.s3.amazonaws.com/a/b/", "https://data.s3.amazonaws.com", "a/b", ""),
        ("https://data.s3.eu-west-1.amazonaws.com/a", "https://data.s3.eu-west-1.amazonaws.com", "a", "eu-west-1"),
        ("https://data.s3-us-west-2.amazonaws.com/a", "https://data.s3.us-west-2.amazonaws.com", "a", "us-west-2"),
        ("https://s3.eu-west-1.amazonaws.com/data/a", "https://data.s3.eu-west-1.amazonaws.com", "a", "eu-west-1"),
        (
            "https://s3.cn-north-1.amazonaws.com.cn/data/a",
            "https://data.s3.cn-north-1.amazonaws.com.cn",
            "a",
            "cn-north-1",
        ),
        ("https://s3.amazonaws.com/data/a%20b/c", "https://data.s3.amazonaws.com", "a b/c", ""),
    ],
)
def test_amazon_s_addresses(url: str, root: str, prefix: str, region: str) -> None:
    assert readings(url) == [(root, prefix, region)]


def test_other_servers() -> None:
    assert readings("s3://data/a", server="http://minio:9000") == [("http://minio:9000/data", "a", "")]
    assert readings("https://models.example/data/a/b") == [
        ("https://models.example/data", "a/b", ""),
        ("https://models.example", "data/a/b", ""),
    ]
    assert readings("https://models.example/") == [("https://models.example", "", "")]
    assert readings("https://r2.example/a", bucket="data") == [("https://r2.example/data", "a", "")]
    assert readings("s3://data/a", region="eu-west-1") == [
        ("https://data.s3.eu-west-1.amazonaws.com", "a", "eu-west-1")
    ]


def test_a_login_in_an_address_is_not_shown() -> None:
    wanted = Resource(ResourceKind.S3, "/data", buckets=(Bucket("s3://key:word@bucket/x?signature=word"),))
    assert request_for(wanted, None, ResourceSettings()).shown == "S3 s3://bucket/x"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "u",
        "data/a",
        "ftp://host/x",
        "s3://",
        "s3:///x",
        "https://",
        "http://user:word@host/x",
        "file:///etc",
        "s3://a@b/",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ResourceFailed) as failed:
        places_of(url, server=AMAZON, region="", bucket="")
    assert "s3://bucket/prefix" in failed.value.hint


def test_another_region() -> None:
    (place,) = places_of("s3://data/a", server=AMAZON, region="", bucket="")
    moved = place.in_region("ap-south-1")
    assert moved is not None
    assert moved.root == "https://data.s3.ap-south-1.amazonaws.com"
    for region in ("ap-south-1", "", "evil.example/", "x"):
        assert moved.in_region(region) is None


def test_a_signature_like_amazon_s_own_example(monkeypatch: pytest.MonkeyPatch) -> None:
    # "GET Object" of Amazon's examples of signature calculations.
    import datetime

    import botocore.auth

    at = datetime.datetime(2013, 5, 24, tzinfo=datetime.UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_: at)
    login = Login(access_key="AKIAIOSFODNN7EXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    call = signed("https://examplebucket.s3.amazonaws.com/test.txt", {"range": "bytes=0-9"}, login, "us-east-1")
    assert call.headers["Authorization"].endswith("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
    assert "wJalr" not in repr(login)


@given(st.lists(st.sampled_from(["a", "..", ".", "", "b c", "ü", "x" * 300, "a\0", "\n", "\\", "\ud800"]), max_size=5))
def test_a_name_that_is_taken_stays_inside(parts: list[str]) -> None:
    import posixpath

    name = "/".join(parts)
    try:
        require_name(name)
    except ResourceFailed:
        return
    assert posixpath.normpath(f"/data/{name}") == f"/data/{name}"
    assert "\0" not in name


def test_the_later_file_of_the_same_name_counts() -> None:
    files = [RemoteFile("x", "1", 1, known_by="a"), RemoteFile("y", "2", 2, known_by="b"), RemoteFile("x", "3", 3)]
    listing = listing_of(files, "nonce", most_files=2, most_bytes=5)
    assert [(file.name, file.url) for file in listing.files] == [("x", "3"), ("y", "2")]
    assert listing.total == 5


def test_what_nothing_identifies_is_another_each_time() -> None:
    def fingerprint(nonce: str, **said: str) -> str:
        return listing_of([RemoteFile("x", size=1, **said)], nonce, most_files=9, most_bytes=9).fingerprint  # type: ignore[arg-type]

    assert fingerprint("1") != fingerprint("2")
    assert fingerprint("1", known_by="tag") == fingerprint("2", known_by="tag") != fingerprint("2", known_by="other")


def test_checksums_of_parts_are_none_of_the_whole() -> None:
    def stated(status: int = 200, **headers: str) -> dict[str, str]:
        return stated_sums(httpx.Response(status, headers={name.replace("_", "-"): v for name, v in headers.items()}))

    assert stated(x_amz_checksum_sha256="A" * 43 + "=") == {"sha256": "00" * 32}
    assert stated(x_amz_checksum_sha256="A" * 43 + "=-3") == {}
    assert stated(x_amz_checksum_crc32="AAAAAA==", x_amz_checksum_type="COMPOSITE") == {}
    assert stated(206, x_amz_checksum_crc32="AAAAAA==") == {}
    assert stated(x_amz_checksum_crc32="AAAAAA==", content_range="bytes 0-1/2") == {}
    assert md5_of_etag("0" * 32) == "0" * 32
    assert md5_of_etag("0" * 32 + "-2") is None
    assert md5_of_etag("0" * 32, "aws:kms") is None


def test_sums_of_a_stream() -> None:
    sums = Sums({"sha256": "", "git": "", "crc32": "", "md5": ""}, 6)
    for piece in (b"hel", b"lo\n"):
        sums.update(piece)
    found = sums.hex()
    assert found["git"] == "ce013625030ba8dba906f756967f9e9ca394464a"  # `git hash-object` of "hello\n"
    assert found["sha256"] == hashlib.sha256(b"hello\n").hexdigest()
    assert found["crc32"] == "363a3020"


def test_a_range_answered_with_status_200() -> None:
    def span(status: int, said: str, length: str) -> object:
        return span_of(httpx.Response(status, headers={"content-range": said, "content-length": length}))

    assert span(206, "bytes 5-8/100", "4") == span(200, "bytes 5-8/100", "4")
    assert span(200, "bytes 5-8/100", "100") is None
    assert span(206, "bytes x", "4") is None


@pytest.mark.parametrize(
    ("address", "why"),
    [("127.0.0.1", "is this host"), ("9.9.9.9", "network.deny closes"), ("2620:fe::9", "network.deny closes")],
)
async def test_addresses_that_are_closed_although_public(address: str, why: str) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["8.8.8.8", address]

    with pytest.raises(AddressRefused, match=why):
        await own_closed(("9.9.9.0/24", "2620:fe::/48"), resolve)("example.org", 443)


async def test_other_public_addresses_stay_open() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["8.8.8.8", "2620:fe::fe"]

    assert await own_closed(("9.9.9.0/24",), resolve)("example.org", 443) == ["8.8.8.8", "2620:fe::fe"]
