"""Heads of HTTP/1.1 messages, read strictly.

Whatever two programs could read in two ways is refused: that is what requests are smuggled through. A message is
never passed on as it came; `head.py` keeps its fields, and `forward.py` writes a new head with one framing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_FIELDS = 128
Fields = tuple[tuple[bytes, bytes], ...]

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_LINE = re.compile(rb"(" + _TOKEN + rb"{1,32}) ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])")
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?")
_FIELD = re.compile(rb"(" + _TOKEN + rb"{1,128}):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_HOST = re.compile(rb"([A-Za-z0-9.\-_]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_ABSOLUTE = re.compile(rb"https?://([^/?#@]{1,270})(/.*|\?.*)?", re.IGNORECASE | re.DOTALL)
_HIGH = re.compile(rb"[\x80-\xff]")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_LIKE_FRAMING = frozenset((b"content-length", b"transfer-encoding", b"host", b"connection"))


class BadHead(Exception):
    """A head that is refused. `status` and `reason` are for its sender."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Body:
    """How long a message's body is: `length` bytes, or in chunks, or until the connection is closed."""

    length: int | None = 0
    chunked: bool = False

    @property
    def none(self) -> bool:
        """There is no body."""
        return self.length == 0 and not self.chunked

    @property
    def until_close(self) -> bool:
        """Only the end of the connection ends it."""
        return self.length is None and not self.chunked


NO_BODY = Body()
CHUNKED = Body(None, chunked=True)
UNTIL_CLOSE = Body(None)


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request, as far as its head says."""

    method: bytes
    target: bytes
    """In origin form (or `*`)."""
    minor: int
    """HTTP/1.0 or HTTP/1.1."""
    host: str
    """In small letters, without port; empty where an HTTP/1.0 client names none."""
    authority: bytes
    """The Host field as it came."""
    fields: Fields
    body: Body
    keep_alive: bool
    upgrade: bool
    """It asks for a WebSocket."""

    @property
    def repeatable(self) -> bool:
        """It may be sent again when nothing came back: safe, and without a body."""
        return self.method in (b"GET", b"HEAD", b"OPTIONS") and self.body.none and not self.upgrade


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A response, as far as its head says."""

    minor: int
    status: int
    reason: bytes
    fields: Fields
    body: Body
    keep_alive: bool

    @property
    def interim(self) -> bool:
        """Another response follows it."""
        return 100 <= self.status < 200 and self.status != 101


def read_request(head: bytes) -> RequestHead:
    """A request's head, without the empty line that ends it. Raises BadHead."""
    first, *rest = head.split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        if re.search(rb" HTTP/[0-9.]+$", first) and not re.search(rb" HTTP/1\.[01]$", first):
            raise BadHead(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
        raise BadHead(400, "the request line is malformed")
    method, target, minor = line[1], line[2], int(line[3])
    fields = _fields(rest, 400)
    for name, _ in fields:
        # Some servers read the underscore as a dash, so that these would be framing for them and not for us.
        if b"_" in name and name.replace(b"_", b"-").lower() in _LIKE_FRAMING:
            raise BadHead(400, "a header field's name is ambiguous")
    authority = _authority(fields, minor)
    target = _origin_form(method, target, authority)
    connection = _tokens(fields, b"connection")
    body = _request_body(fields, minor)
    _check_expectation(fields)
    upgrade = (
        minor == 1
        and method == b"GET"
        and body.none
        and b"upgrade" in connection
        and _tokens(fields, b"upgrade") == (b"websocket",)
    )
    return RequestHead(
        method,
        target,
        minor,
        _bare(authority),
        authority,
        fields,
        body,
        _keep_alive(connection, minor),
        upgrade,
    )


def read_response(head: bytes, method: bytes) -> ResponseHead:
    """A response's head to a request of this method. Raises BadHead (status 502).

    Lines may end in a line feed alone, as small scripts write them: what is passed on is written anew.
    """
    first, *rest = head.replace(b"\r\n", b"\n").split(b"\n")
    line = _STATUS.fullmatch(first)
    if line is None:
        raise BadHead(502, "the service does not answer in HTTP/1.1")
    minor, status, reason = int(line[1]), int(line[2]), line[3] or b""
    fields = _fields(rest, 502)
    connection = _tokens(fields, b"connection")
    body, clean = _response_body(fields, status, method)
    return ResponseHead(
        minor, status, reason, fields, body, clean and not body.until_close and _keep_alive(connection, minor)
    )


def read_trailers(lines: list[bytes]) -> Fields:
    """The fields after a chunked body, less those that only a head may have. Raises BadHead."""
    return tuple((name, value) for name, value in _fields(lines, 400) if name.lower() not in _NO_TRAILERS)


_NO_TRAILERS = frozenset(
    (
        *_LIKE_FRAMING,
        *(b"keep-alive", b"te", b"trailer", b"upgrade", b"expect", b"content-encoding", b"content-type"),
        *(b"content-range", b"authorization", b"cookie", b"set-cookie", b"cache-control", b"location"),
    )
)


def _fields(lines: list[bytes], status: int) -> Fields:
    if len(lines) > MOST_FIELDS:
        raise BadHead(431 if status == 400 else status, "too many header fields")
    found = []
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise BadHead(status, "a header field is malformed")
        found.append((field[1], field[2].rstrip(b" \t")))
    return tuple(found)


def _values(fields: Fields, wanted: bytes) -> list[bytes]:
    return [value for name, value in fields if name.lower() == wanted]


def _tokens(fields: Fields, wanted: bytes) -> tuple[bytes, ...]:
    """The words of a list, in small letters."""
    words = b",".join(_values(fields, wanted)).lower().split(b",")
    return tuple(word for each in words if (word := each.strip(b" \t")))


def connection_words(fields: Fields) -> frozenset[bytes]:
    """Names that the message's own `Connection` takes for its next hop alone."""
    return frozenset(_tokens(fields, b"connection"))


def _keep_alive(connection: tuple[bytes, ...], minor: int) -> bool:
    return b"close" not in connection and (minor == 1 or b"keep-alive" in connection)


def _authority(fields: Fields, minor: int) -> bytes:
    hosts = _values(fields, b"host")
    if len(hosts) > 1 or (minor == 1 and not hosts):
        raise BadHead(400, "there must be one Host header field")
    if not hosts:
        return b""
    if _HOST.fullmatch(hosts[0]) is None:
        raise BadHead(400, "the Host header field is malformed")
    return hosts[0]


def _bare(authority: bytes) -> str:
    if authority.startswith(b"["):
        return authority.partition(b"]")[0].decode() + "]"
    return authority.partition(b":")[0].decode().lower().rstrip(".")


def _origin_form(method: bytes, target: bytes, authority: bytes) -> bytes:
    # As browsers do it: some servers refuse such bytes, and none reads them in another way then.
    target = _HIGH.sub(lambda found: b"%%%02X" % found[0][0], target)
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    # A target with a host of its own is for proxies to anywhere, which this is not: it must name what Host names.
    if method == b"CONNECT" or absolute is None or absolute[1].lower() != authority.lower():
        raise BadHead(400, "the request's target is not of this host")
    rest = absolute[2] or b""
    return rest if rest.startswith(b"/") else b"/" + rest


def _request_body(fields: Fields, minor: int) -> Body:
    lengths, codings = _values(fields, b"content-length"), _values(fields, b"transfer-encoding")
    if codings:
        if lengths or minor == 0:
            raise BadHead(400, "the length of the body is ambiguous")
        if len(codings) != 1 or codings[0].lower() != b"chunked":
            raise BadHead(501, "of transfer codings, only chunked is known here")
        return CHUNKED
    if not lengths:
        return NO_BODY
    if len(lengths) > 1 or _LENGTH.fullmatch(lengths[0]) is None:
        raise BadHead(400, "the length of the body is malformed")
    return Body(int(lengths[0]))


def _check_expectation(fields: Fields) -> None:
    expected = _tokens(fields, b"expect")
    if expected and expected != (b"100-continue",):
        raise BadHead(417, "this expectation is not known here")


def _response_body(fields: Fields, status: int, method: bytes) -> tuple[Body, bool]:
    """The body, and whether it leaves no doubt."""
    if method == b"HEAD" or status < 200 or status in (204, 304):
        return NO_BODY, True
    codings = _values(fields, b"transfer-encoding")
    lengths = set(_values(fields, b"content-length"))
    if codings:
        if len(codings) != 1 or codings[0].lower() != b"chunked":
            raise BadHead(502, "the service uses a transfer coding that is not known here")
        return CHUNKED, not lengths
    if not lengths:
        return UNTIL_CLOSE, True
    if len(lengths) > 1 or _LENGTH.fullmatch(only := lengths.pop()) is None:
        raise BadHead(502, "the service states the length of its answer ambiguously")
    return Body(int(only)), True
