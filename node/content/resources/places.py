"""Addresses of S3 data: which server, which bucket, which part of it.

`s3://BUCKET/PREFIX` names a bucket; an http(s) address names a server that has the bucket in its path, in its host
name, or is the bucket. Which of the last two cannot be told from an address, so there may be several readings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlencode, urlsplit

import httpx

from node.errors import ResourceFailed

AMAZON = "https://s3.amazonaws.com"
DEFAULT_REGION = "us-east-1"
_AMAZON_HOST = re.compile(
    r"(?:(?P<bucket>.+)\.)?s3(?:[.-]dualstack)?(?:[.-](?P<region>[a-z]{2}(?:-[a-z]+)+-\d))?\.amazonaws\.com(?:\.cn)?"
)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_IN_HOST = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


@dataclass(frozen=True, slots=True)
class Place:
    """One reading of an address."""

    root: str
    """Scheme and host, and the bucket where the path has it; no slash at the end."""
    prefix: str
    """Of the keys; no slash at the end."""
    region: str = ""
    bucket: str = ""
    """Amazon's only: with it the address can be made anew for another region."""

    def object_url(self, key: str) -> str:
        """Address of an object by its whole key."""
        return f"{self.root}/{quote(key, safe='/-_.~')}"

    def list_url(self, prefix: str, token: str) -> str:
        """Address of one page of the list of objects."""
        query = {"list-type": "2", "max-keys": "1000", "prefix": prefix}
        if token:
            query["continuation-token"] = token
        return f"{self.root}/?{urlencode(sorted(query.items()), quote_via=quote, safe='-_.~')}"

    def in_region(self, region: str) -> Place | None:
        """The same bucket where it really is; None where that leads nowhere else."""
        if not self.bucket or region == self.region or not _REGION.fullmatch(region):
            return None
        return _amazon(self.bucket, self.prefix, region)


def places_of(url: str, *, server: str, region: str, bucket: str) -> tuple[Place, ...]:
    """The readings of an address, the likeliest first. `bucket` is its name where it is given beside the address.

    `server` is where s3:// addresses lead. Raises ResourceFailed for anything else than such an address.
    """
    try:
        places = _read(url, server, region, bucket)
        for place in places:
            httpx.URL(place.root)
    except (ValueError, httpx.InvalidURL):
        # Whatever the parsers make of a stranger's text.
        raise ResourceFailed("the address is malformed", hint=_FORMS) from None
    return places


def _read(url: str, server: str, region: str, bucket: str) -> tuple[Place, ...]:
    parts = urlsplit(url)
    host, path = parts.hostname or "", unquote(parts.path, errors="strict").strip("/")
    if parts.scheme == "s3":
        return (_by_name(_checked(parts.netloc), path, server, region),)
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        raise ResourceFailed("the address is none of S3 data", hint=_FORMS)
    base = f"{parts.scheme}://{parts.netloc}"
    if amazon := _AMAZON_HOST.fullmatch(host):
        return (_of_amazon(amazon, path, region, bucket),)
    if bucket:
        inside = path.removeprefix(bucket).strip("/") if path.split("/")[0] == bucket else path
        return (Place(f"{base}/{quote(_checked(bucket), safe='-_.~')}", inside, region),)
    first, _, rest = path.partition("/")
    whole_host = Place(base, path, region)
    return (Place(f"{base}/{quote(first, safe='-_.~')}", rest, region), whole_host) if first else (whole_host,)


_FORMS = "Write it like s3://bucket/prefix or https://server/bucket/prefix."


def _by_name(bucket: str, prefix: str, server: str, region: str) -> Place:
    return _amazon(bucket, prefix, region) if server == AMAZON else Place(f"{server}/{bucket}", prefix, region)


def _of_amazon(host: re.Match[str], path: str, region: str, bucket: str) -> Place:
    where = host["region"] or region
    if host["bucket"]:
        return _amazon(_checked(host["bucket"]), path, where)
    if bucket:
        inside = path.removeprefix(bucket).strip("/") if path.split("/")[0] == bucket else path
        return _amazon(_checked(bucket), inside, where)
    first, _, rest = path.partition("/")
    return _amazon(_checked(first), rest, where)


def _amazon(bucket: str, prefix: str, region: str) -> Place:
    host = f"s3.{region}.amazonaws.com" if _REGION.fullmatch(region) else "s3.amazonaws.com"
    host += ".cn" if region.startswith("cn-") else ""
    # A name with dots has no certificate as part of the host.
    root = f"https://{bucket}.{host}" if _IN_HOST.fullmatch(bucket) else f"https://{host}/{bucket}"
    return Place(root, prefix, region, bucket)


def _checked(bucket: str) -> str:
    if not _BUCKET.fullmatch(bucket):
        raise ResourceFailed("the address names no bucket", hint=_FORMS)
    return bucket
