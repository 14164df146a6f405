"""Reading a CAR (content archive, version 1) as it arrives, block by block."""

from __future__ import annotations

from collections.abc import Callable

from node.content.dag import Link, Malformed, read_cid, read_varint

SECTION_LIMIT = 4 << 20
"""Bytes of one block with its CID; IPFS nodes exchange none above 2 MiB."""


class CarReader:
    """Cuts a stream into blocks and hands each to `keep`, which checks it.

    It holds the one section that is not whole yet and nothing else.
    """

    def __init__(self, keep: Callable[[Link, bytes], None]) -> None:
        self._keep = keep
        self._rest = bytearray()
        self._header_seen = False

    def feed(self, piece: bytes) -> None:
        """Take the stream's next bytes. Raises Malformed for what is no archive."""
        self._rest += piece
        at = 0
        while (end := self._section_end(at)) is not None:
            begin, stop = end
            self._section(bytes(memoryview(self._rest)[begin:stop]))
            at = stop
        del self._rest[:at]

    def close(self) -> None:
        """The stream is over. Raises Malformed if it was cut."""
        if self._rest or not self._header_seen:
            raise Malformed("the archive is cut")

    def _section_end(self, at: int) -> tuple[int, int] | None:
        """Where the section at `at` has its body, None if it is not whole yet."""
        if at >= len(self._rest):
            return None
        try:
            length, begin = read_varint(self._rest, at)
        except Malformed:
            if len(self._rest) - at >= 9:
                raise
            return None
        if length == 0 or length > SECTION_LIMIT:
            raise Malformed(f"a part of {length:,} bytes is in no archive of a file")
        return (begin, begin + length) if begin + length <= len(self._rest) else None

    def _section(self, body: bytes) -> None:
        if not self._header_seen:
            # The header names roots, which are known already; its version is what makes it an archive.
            if b"gversion\x01" not in body:
                raise Malformed("it is no archive of version 1")
            self._header_seen = True
            return
        link, at = read_cid(body, 0)
        if link is not None and not link.inline:
            self._keep(link, body[at:])
