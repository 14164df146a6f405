"""What strangers send to the listener, and what services answer."""

from __future__ import annotations

import h11

from node.service.forward import Sender, body_for_client, request_bytes, response_bytes
from node.service.framing import ChunkedReader, body_writer
from node.service.head import CHUNKED, BadHead, read_request, read_response
from tests.fuzz.target import Target

_STRANGER = Sender("203.0.113.7", trusted=False, scheme=b"https")
_ASKED = b"GET / HTTP/1.1\r\nHost: a.example"


def request(body: bytes) -> None:
    """A request's head: what is passed on is one request for another reader too, with the body that we saw."""
    head = read_request(body)
    sent = request_bytes(head, _STRANGER)
    assert sent.count(b"\r\n\r\n") == 1
    assert sent.endswith(b"\r\n\r\n")
    other = h11.Connection(h11.SERVER)
    other.receive_data(sent)
    seen = other.next_event()
    assert isinstance(seen, h11.Request), seen
    assert (seen.method, seen.target) == (head.method, head.target)
    lengths = [int(value) for name, value in seen.headers if name == b"content-length"]
    assert sum(lengths) == (head.body.length or 0)
    assert len(lengths) <= 1
    assert any(name == b"transfer-encoding" for name, _ in seen.headers) == head.body.chunked


def response(body: bytes) -> None:
    """A response's head, likewise."""
    asked = read_request(_ASKED)
    head = read_response(body, b"GET")
    framed = body_for_client(head, asked)
    sent = response_bytes(head, framed, asked, keep_alive=True)
    assert sent.count(b"\r\n\r\n") == 1
    other = h11.Connection(h11.CLIENT)
    other.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    other.send(h11.EndOfMessage())
    other.receive_data(sent)
    if head.status == 101:
        return  # h11 takes it only where it was asked for
    seen = other.next_event()
    assert isinstance(seen, h11.Response | h11.InformationalResponse), seen
    assert seen.status_code == head.status


def chunks(body: bytes) -> None:
    """A chunked body: the same wherever it is cut, and what is written anew reads the same."""
    whole, split = ChunkedReader(), ChunkedReader()
    buffer, pieces = bytearray(body), bytearray()
    first = whole.feed(buffer)
    second = b""
    for at in range(0, len(body), 7):
        pieces += body[at : at + 7]
        second += split.feed(pieces)
    assert (first, whole.done, whole.trailers) == (second, split.done, split.trailers)
    if whole.done:
        writer, again = body_writer(CHUNKED), ChunkedReader()
        assert again.feed(bytearray(writer.piece(first) + writer.end(whole.trailers))) == first
        assert (again.done, again.trailers) == (True, whole.trailers)


def _requests() -> tuple[bytes, ...]:
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"
    return (
        _ASKED + b"\r\nAccept: */*\r\nCookie: a=b\r\nX-Forwarded-For: 1.2.3.4",
        b"POST /p?q HTTP/1.1\r\nHost: a.example:80\r\nContent-Length: 5\r\nExpect: 100-continue",
        b"PUT / HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nConnection: close, x-y",
        _ASKED + b"\r\n" + upgrade,
        b"HEAD / HTTP/1.0",
    )


def _responses() -> tuple[bytes, ...]:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b",
        b"HTTP/1.1 206\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum",
        b"HTTP/1.0 404 Not Found\nServer: x",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade",
    )


def _chunked() -> tuple[bytes, ...]:
    return b"5\r\nhello\r\n0\r\n\r\n", b"a;x=y\r\n0123456789\r\n1\r\nz\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\nrest"


TARGETS = (
    Target("service-request", request, _requests, (BadHead,)),
    Target("service-response", response, _responses, (BadHead,)),
    Target("service-chunks", chunks, _chunked, (BadHead,)),
)
