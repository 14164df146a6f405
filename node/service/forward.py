"""What is passed on of a head: its fields for the next hop, with one framing and who asked."""

from __future__ import annotations

from dataclasses import dataclass

from node.service.head import CHUNKED, Body, Fields, RequestHead, ResponseHead, connection_words

_HOP = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization"),
        *(b"te", b"trailer", b"transfer-encoding", b"upgrade", b"content-length", b"http2-settings"),
    )
)
"""Fields of one hop, and those that are written anew."""
_KEPT = frozenset((b"host", b"authorization", b"cookie", b"set-cookie", b"origin", b"content-type"))
"""What a `Connection` field cannot take away from the service."""
_WHO = frozenset((b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"))
_HEARSAY = frozenset((*_WHO, b"forwarded", b"x-real-ip", b"x-forwarded-port", b"x-forwarded-server", b"via"))
"""What only somebody between us and the client may say of the client."""
_UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a request."""

    address: str
    """Of the other end of the connection."""
    trusted: bool
    """It is a tunnel's end or a proxy on this machine, and says who the client is."""
    scheme: bytes
    """With which clients reach us through such a one."""


def request_bytes(head: RequestHead, sender: Sender) -> bytes:
    """A request's head as the service gets it."""
    trusted = sender.trusted
    gone = _gone(head.fields) | _WHO
    lines = [b"%b %b HTTP/1.1" % (head.method, head.target)]
    if not head.authority:
        lines.append(b"Host: service")
    for name, value in head.fields:
        low = name.lower()
        hearsay = low.replace(b"_", b"-") in _HEARSAY and not (trusted and low in _HEARSAY)
        if low not in gone and not hearsay:
            lines.append(b"%b: %b" % (name, value))
    lines += _forwarded(head, sender)
    tail = b"TE: trailers\r\n" if _takes_trailers(head.fields) and not head.upgrade else b""
    if head.upgrade:
        return b"\r\n".join(lines) + b"\r\n" + _UPGRADE + b"\r\n"
    if tail:
        # TE is a field of one hop, and must be named as one.
        tail += b"Connection: TE\r\n"
    framing = _framing(head.body)
    if not framing and head.method in (b"POST", b"PUT", b"PATCH"):
        framing = b"Content-Length: 0\r\n"  # some servers ask for it
    return b"\r\n".join(lines) + b"\r\n" + framing + tail + b"\r\n"


def response_bytes(head: ResponseHead, body: Body, request: RequestHead, *, keep_alive: bool) -> bytes:
    """A response's head as the client gets it. `body`: how its body is framed for the client."""
    gone = _gone(head.fields)
    lines = [b"HTTP/1.1 %d %b" % (head.status, head.reason)]
    lines += [b"%b: %b" % (name, value) for name, value in head.fields if name.lower() not in gone]
    if head.status == 101:
        return b"\r\n".join(lines) + b"\r\n" + _UPGRADE + b"\r\n"
    if head.interim:
        return b"\r\n".join(lines) + b"\r\n\r\n"
    if request.method == b"HEAD" or head.status == 304:
        # The length it would have had is worth knowing, and frames nothing.
        stated = {value for name, value in head.fields if name.lower() == b"content-length"}
        lines += [b"Content-Length: %b" % value for value in stated if len(stated) == 1 and value.isdigit()]
        framing = b""
    elif head.status == 204:
        framing = b""
    else:
        framing = _framing(body) or (b"" if body.until_close else b"Content-Length: 0\r\n")
    if not keep_alive:
        framing += b"Connection: close\r\n"
    elif request.minor == 0:
        framing += b"Connection: keep-alive\r\n"
    return b"\r\n".join(lines) + b"\r\n" + framing + b"\r\n"


def body_for_client(head: ResponseHead, request: RequestHead) -> Body:
    """How a response's body is framed for the client: in chunks where its length is not known, so that a client sees
    whether it was cut; an HTTP/1.0 client knows no chunks."""
    if head.body.length is None:
        return CHUNKED if request.minor == 1 else Body(None)
    return head.body


def _gone(fields: Fields) -> frozenset[bytes]:
    return _HOP | (connection_words(fields) - _KEPT)


def _framing(body: Body) -> bytes:
    if body.chunked:
        return b"Transfer-Encoding: chunked\r\n"
    return b"Content-Length: %d\r\n" % body.length if body.length else b""


def _takes_trailers(fields: Fields) -> bool:
    return any(name.lower() == b"te" and b"trailers" in value.lower() for name, value in fields)


def _forwarded(head: RequestHead, sender: Sender) -> list[bytes]:
    told: dict[bytes, list[bytes]] = {name: [] for name in _WHO}
    for name, value in head.fields if sender.trusted else ():
        if name.lower() in told:
            told[name.lower()].append(value)
    # A tunnel's end on this machine is no station worth naming.
    clients = told[b"x-forwarded-for"] or [sender.address.encode()]
    scheme = sender.scheme if sender.trusted else b"http"
    if scheme == b"http":
        scheme = (told[b"x-forwarded-proto"] or [scheme])[0]
    return [
        b"X-Forwarded-For: " + b", ".join(clients),
        b"X-Forwarded-Proto: " + scheme,
        b"X-Forwarded-Host: " + (told[b"x-forwarded-host"] or [head.authority])[0],
    ]
