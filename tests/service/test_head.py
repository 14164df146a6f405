"""Heads and chunks: what two programs could read in two ways is refused, and what is passed on has one reading."""

from __future__ import annotations

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.service.forward import Sender, body_for_client, request_bytes, response_bytes
from node.service.framing import ChunkedReader, body_reader, body_writer
from node.service.head import BadHead, Body, read_request, read_response
from tests.service.scene import HOST

STRANGER = Sender("203.0.113.7", trusted=False, scheme=b"https")
TUNNEL = Sender("127.0.0.1", trusted=True, scheme=b"https")


def request(*lines: str, first: str = "POST / HTTP/1.1") -> bytes:
    return "\r\n".join([first, f"Host: {HOST}", *lines]).encode("latin-1")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Content-Length: 5", "Transfer-Encoding: chunked"], 400),
        (["Transfer-Encoding: chunked", "Content-Length: 0"], 400),
        (["Content-Length: 5", "Content-Length: 5"], 400),
        (["Content-Length: 5", "Content-Length: 6"], 400),
        (["Content-Length: 5, 5"], 400),
        (["Content-Length: +5"], 400),
        (["Content-Length: -5"], 400),
        (["Content-Length: 0x5"], 400),
        (["Content-Length: 5_0"], 400),
        (["Content-Length: ٣".encode().decode("latin-1")], 400),
        (["Content-Length: 1" + "0" * 30], 400),
        (["Content-Length:"], 400),
        (["Content-Length : 5"], 400),
        (["Content_Length: 5"], 400),
        (["Transfer_Encoding: chunked"], 400),
        (["Transfer-Encoding : chunked"], 400),
        (["Transfer-Encoding\t: chunked"], 400),
        (["Transfer-Encoding: xchunked"], 501),
        (["Transfer-Encoding: chunked, identity"], 501),
        (["Transfer-Encoding: identity"], 501),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], 501),
        (["Transfer-Encoding: gzip, chunked"], 501),
        (["Transfer-Encoding: \x0bchunked"], 400),
        (["Transfer-Encoding:\n chunked"], 400),
        (["X: a", " Transfer-Encoding: chunked"], 400),
        (["X: a\r\tb"], 400),
        (["X: a\rContent-Length: 5"], 400),
        (["X: a\nContent-Length: 5"], 400),
        (["X: a\x00b"], 400),
        ([": empty"], 400),
        (["no colon"], 400),
        (["Na me: x"], 400),
        (["Host: other.example"], 400),
        (["Expect: 200-ok"], 417),
        (["X: y"] * 200, 431),
    ],
)
def test_what_is_ambiguous_is_refused(lines: list[str], status: int) -> None:
    with pytest.raises(BadHead) as raised:
        read_request(request(*lines))
    assert raised.value.status == status


@pytest.mark.parametrize(
    ("first", "status"),
    [
        ("GET / HTTP/1.1 ", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET / http/1.1", 400),
        ("GET /a b HTTP/1.1", 400),
        ("GET /\x00 HTTP/1.1", 400),
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/1.10", 505),
        ("PRI * HTTP/2.0", 505),
        ("GET /", 400),
        ("G(T / HTTP/1.1", 400),
        ("CONNECT 10.0.0.1:22 HTTP/1.1", 400),
        ("CONNECT / HTTP/1.1 x", 400),
        ("GET http://10.0.0.1/ HTTP/1.1", 400),
        (f"GET http://{HOST}@10.0.0.1/ HTTP/1.1", 400),
        (f"GET http://{HOST}:22/ HTTP/1.1", 400),
        ("GET //[::1]", 400),
        ("GET * HTTP/1.1", 400),
        ("GET foo HTTP/1.1", 400),
    ],
)
def test_request_lines_that_are_refused(first: str, status: int) -> None:
    with pytest.raises(BadHead) as raised:
        read_request(request(first=first))
    assert raised.value.status == status


@pytest.mark.parametrize("host", ["", "a b", "a/b", "a@b", "a,b", "a:b", "a:1:2", "é", "[::1", "a\tb", "x" * 300])
def test_hosts_that_are_refused(host: str) -> None:
    with pytest.raises(BadHead):
        read_request(f"GET / HTTP/1.1\r\nHost: {host}".encode("latin-1"))


def test_hosts_are_compared_in_small_letters_and_without_port() -> None:
    def host(text: str) -> str:
        return read_request(f"GET / HTTP/1.1\r\nHost: {text}".encode()).host

    assert host("AbC.Example:5001") == "abc.example"
    assert host("a.example.") == "a.example"
    assert host("[::1]:80") == "[::1]"
    assert read_request(b"GET / HTTP/1.0").host == ""
    with pytest.raises(BadHead):
        read_request(b"GET / HTTP/1.1")


def test_a_target_with_the_same_host_is_taken_for_its_path() -> None:
    for target, path in (
        (f"http://{HOST}/a?b", b"/a?b"),
        (f"http://{HOST.upper()}", b"/"),
        (f"http://{HOST}?q", b"/?q"),
    ):
        assert read_request(request(first=f"GET {target} HTTP/1.1")).target == path
    assert read_request(request(first="OPTIONS * HTTP/1.1")).target == b"*"
    assert read_request("GET /é?ü HTTP/1.1\r\nHost: a".encode()).target == b"/%C3%A9?%C3%BC"


@pytest.mark.parametrize(
    "chunks",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-1\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"5\r\r\nhello\r\n0\r\n\r\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"\r\n",
        b"fffffffffffffffff\r\n",
        b"5;" + b"x" * 2000,
        b"0\r\nno colon\r\n\r\n",
        b"0\r\nA : b\r\n\r\n",
        b"0\r\n" + b"A: b\r\n" * 3000 + b"\r\n",
    ],
)
def test_chunks_that_are_refused(chunks: bytes) -> None:
    for size in (1, 3, len(chunks)):
        with pytest.raises(BadHead):
            take(chunks, size)


def take(raw: bytes, size: int) -> tuple[bytes, ChunkedReader, bytes]:
    """Read chunks that come in pieces; the body, the reader and what is left over."""
    reader, buffer, out = ChunkedReader(), bytearray(), b""
    for at in range(0, len(raw), size):
        buffer += raw[at : at + size]
        out += reader.feed(buffer)
    return out, reader, bytes(buffer)


@given(st.lists(st.binary(min_size=1, max_size=40)), st.integers(1, 50), st.binary(max_size=20))
def test_chunks_come_out_as_they_went_in(pieces: list[bytes], size: int, after: bytes) -> None:
    writer = body_writer(Body(None, chunked=True))
    raw = b"".join(writer.piece(piece) for piece in pieces) + writer.end(((b"X-Sum", b"1"),))
    out, reader, rest = take(raw + after, size)
    assert (out, rest, reader.done, reader.trailers) == (b"".join(pieces), after, True, ((b"X-Sum", b"1"),))


@given(st.binary(max_size=60), st.integers(0, 60))
def test_a_body_of_known_length_takes_no_more(raw: bytes, length: int) -> None:
    reader, buffer = body_reader(Body(length)), bytearray(raw)
    assert reader.feed(buffer) == raw[:length]
    assert bytes(buffer) == raw[length:]
    assert reader.done == (len(raw) >= length)


WORDS = ["Content-Length", "content-length", "Transfer-Encoding", "Connection", "Upgrade", "X-Forwarded-For", "Cookie"]
WORDS += ["X_Forwarded_For", "Content_Length", "Expect", "TE", "Trailer", "Keep-Alive", "Accept", "Forwarded"]
VALUES = ["5", "0", "chunked", "Chunked", "close", "keep-alive", "upgrade", "websocket", "Content-Length", "x, cookie"]
VALUES += ["trailers", "100-continue", "a\tb", "", "5, 5", "gzip, chunked", "\x85", "é"]
FIELD = st.tuples(
    st.sampled_from(WORDS) | st.text(st.characters(max_codepoint=255), max_size=4),
    st.sampled_from(["", " ", "\t"]),
    st.sampled_from(VALUES) | st.text(st.characters(max_codepoint=255), max_size=8),
)


@settings(max_examples=400)
@given(st.lists(FIELD, max_size=6), st.sampled_from(["GET", "POST", "HEAD"]), st.sampled_from([0, 1]), st.booleans())
@example([("Content-Length", "", "5")], "POST", 1, False)
@example([("Transfer-Encoding", "", "chunked")], "POST", 1, True)
def test_what_is_passed_on_is_read_alike_by_another_program(
    fields: list[tuple[str, str, str]], method: str, minor: int, trusted: bool
) -> None:
    """Whatever passes is a head that h11 takes, with the same body as we saw and none of the fields of one hop."""
    lines = [f"{method} /p HTTP/1.{minor}", f"Host: {HOST}", *(f"{a}:{b}{c}" for a, b, c in fields)]
    try:
        head = read_request("\r\n".join(lines).encode("latin-1"))
    except BadHead:
        return
    raw = request_bytes(head, TUNNEL if trusted else STRANGER)
    other = h11.Connection(h11.SERVER)
    other.receive_data(raw)
    seen = other.next_event()
    assert isinstance(seen, h11.Request)
    assert (seen.method, seen.target, seen.http_version) == (method.encode(), b"/p", b"1.1")
    told = [name for name, _ in seen.headers]
    assert told.count(b"host") == told.count(b"x-forwarded-for") == 1
    lengths = [int(value) for name, value in seen.headers if name == b"content-length"]
    chunked = (b"transfer-encoding", b"chunked") in list(seen.headers)
    assert not (lengths and chunked)
    assert chunked == head.body.chunked
    assert sum(lengths) == (head.body.length or 0)
    if not trusted:
        assert not {b"forwarded", b"x_forwarded_for"} & set(told)
        assert (b"x-forwarded-for", b"203.0.113.7") in list(seen.headers)
    assert b"keep-alive" not in told
    assert b"content_length" not in told
    if not head.upgrade:
        assert b"upgrade" not in told


@settings(max_examples=400)
@given(
    st.lists(FIELD, max_size=6),
    st.sampled_from([200, 204, 206, 301, 304, 404, 500]),
    st.sampled_from(["GET", "HEAD", "POST"]),
    st.integers(0, 1),
    st.integers(0, 1),
    st.sampled_from(["\r\n", "\n"]),
)
def test_answers_passed_on_are_read_alike_by_another_program(
    fields: list[tuple[str, str, str]], status: int, method: str, minor: int, client: int, end: str
) -> None:
    asked = read_request(f"{method} / HTTP/1.{client}\r\nHost: {HOST}".encode())
    lines = [f"HTTP/1.{minor} {status} Why", *(f"{a}:{b}{c}" for a, b, c in fields)]
    try:
        head = read_response(end.join(lines).encode("latin-1"), method.encode())
    except BadHead:
        return
    body = body_for_client(head, asked)
    raw = response_bytes(head, body, asked, keep_alive=asked.keep_alive and not body.until_close)
    other = h11.Connection(h11.CLIENT)
    other.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    other.send(h11.EndOfMessage())
    other.receive_data(raw)
    seen = other.next_event()
    assert isinstance(seen, h11.Response)
    assert seen.status_code == status
    lengths = [value for name, value in seen.headers if name == b"content-length"]
    chunked = (b"transfer-encoding", b"chunked") in list(seen.headers)
    assert len(lengths) <= 1
    assert not (lengths and chunked)
    if not head.body.none:
        assert chunked == body.chunked
        assert body.until_close == (not lengths and not chunked)
        if body.length is not None:
            assert lengths == [b"%d" % body.length]
    closing = any(name == b"connection" and b"close" in value for name, value in seen.headers)
    assert closing == (not asked.keep_alive or body.until_close)


def test_only_websockets_are_upgraded() -> None:
    def upgrade(*lines: str, first: str = "GET / HTTP/1.1") -> bool:
        head = read_request(request(*lines, first=first))
        sent = request_bytes(head, STRANGER)
        assert head.upgrade == (b"Upgrade: websocket" in sent)
        assert b"h2c" not in sent
        return head.upgrade

    assert upgrade("Connection: keep-alive, Upgrade", "Upgrade: WebSocket")
    assert not upgrade("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA")
    assert not upgrade("Connection: Upgrade", "Upgrade: websocket, h2c")
    assert not upgrade("Upgrade: websocket")
    assert not upgrade("Connection: Upgrade", "Upgrade: websocket", "Content-Length: 5")
    assert not upgrade("Connection: Upgrade", "Upgrade: websocket", first="POST / HTTP/1.1")
    assert not upgrade("Connection: Upgrade", "Upgrade: websocket", first="GET / HTTP/1.0")


@pytest.mark.parametrize(
    "answer",
    [
        "HTTP/2 200 OK",
        "HTTP/1.1 99 x",
        "HTTP/1.1 2000 x",
        "SSH-2.0-OpenSSH",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2",
        "HTTP/1.1 200 OK\r\nContent-Length: x",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "HTTP/1.1 200 OK\r\nA : b",
        "HTTP/1.1 200 OK\r\n folded",
        "HTTP/1.1 200 OK\r\nSet-Cookie: a\rb",
    ],
)
def test_answers_that_are_refused(answer: str) -> None:
    with pytest.raises(BadHead) as raised:
        read_response(answer.encode(), b"GET")
    assert raised.value.status == 502
