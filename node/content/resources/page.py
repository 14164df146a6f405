"""Pages of the list of a bucket's objects, as S3 servers write them."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree  # nosec B405 - only what has no declarations is given to it

from node.content.resources.listing import shown_name
from node.content.resources.web import shown
from node.errors import ResourceFailed


class NotListed(ResourceFailed):
    """A reading of an address at which no list of a bucket is found."""


@dataclass(frozen=True, slots=True)
class ListedObject:
    """One object of a bucket."""

    key: str
    size: int
    etag: str
    modified: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a bucket's list; an empty `token`: the last."""

    objects: list[ListedObject]
    token: str


def parse_page(body: bytes, url: str) -> Page:
    """Read one page. Raises NotListed for anything else, ResourceFailed for a list that makes no sense."""
    try:
        text = body.decode("utf-8")
        # Without declarations there are no entities that could unfold or point elsewhere.
        root = None if "<!" in text else ElementTree.fromstring(text)  # noqa: S314  # nosec B314
    except (UnicodeDecodeError, ElementTree.ParseError, ValueError):
        root = None
    if root is None or _tag(root) != "ListBucketResult":
        raise NotListed(
            f"{shown(url)} is no list of an S3 bucket", hint="Check the address, or name the files wanted one by one."
        )
    objects = [_object(each, url) for each in root if _tag(each) == "Contents"]
    more = {_tag(each): each.text or "" for each in root}
    return Page(objects, more.get("NextContinuationToken", "") if more.get("IsTruncated", "").lower() == "true" else "")


def _object(element: ElementTree.Element, url: str) -> ListedObject:
    parts = {_tag(each): each.text or "" for each in element}
    size = parts.get("Size", "")
    if not size.isdecimal() or len(size) > 18:
        raise ResourceFailed(f"{shown(url)} states no size for {shown_name(parts.get('Key', ''))}")
    return ListedObject(parts.get("Key", ""), int(size), parts.get("ETag", ""), parts.get("LastModified", ""))


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
