"""Stands in a network namespace, answers whoever comes, and writes down who came.

`python -m tests.container.witness ROLE LOG READY NAMES`: listens on the topology's ports, TCP and UDP, IPv4 and IPv6;
with NAMES (a JSON object, name -> IPv4 address) also as a resolver on port 53. READY is made when it listens.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import cast

PORTS = (80, 4444)


class Witness:
    """What is known of the visitors of one namespace."""

    def __init__(self, role: str, log: Path, names: Mapping[str, str]) -> None:
        self.role = role
        self._log = log
        self._names = names

    def note(self, how: str, peer: str, to: str, port: int, said: str) -> None:
        """Write one visit down, at once."""
        with self._log.open("a") as file:
            file.write(json.dumps({"how": how, "peer": peer, "to": to, "port": str(port), "said": said}) + "\n")

    async def serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One TCP visitor: noted when it has come, answered as a web server would."""
        to, peer = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
        try:
            said = await asyncio.wait_for(reader.read(200), 1.0)
        except (TimeoutError, OSError):
            said = b""
        self.note("tcp", peer[0], to[0], to[1], said.decode("utf-8", "replace")[:80])
        body = f"you are in {self.role}\n".encode()
        try:
            writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
            # Heard to its end: closing on words that are still under way would cut the visitor off.
            await asyncio.wait_for(reader.read(), 2.0)
        except (TimeoutError, OSError):
            pass
        writer.close()

    def resolve(self, query: bytes) -> bytes:
        """The answer to one DNS query: an A record, no such name, or nothing of the asked type."""
        end = 12
        labels = []
        while query[end]:
            labels.append(query[end + 1 : end + 1 + query[end]].decode("ascii", "replace"))
            end += query[end] + 1
        kind = struct.unpack(">H", query[end + 1 : end + 3])[0]
        name = ".".join(labels).lower()
        question = query[12 : end + 5]
        address = self._names.get(name)
        answer = b""
        if address is not None and kind == 1:
            answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + socket.inet_aton(address)
        code = 0x8180 if address is not None else 0x8183
        return query[:2] + struct.pack(">HHHHH", code, 1, int(bool(answer)), 0, 0) + question + answer


class Datagrams(asyncio.DatagramProtocol):
    """UDP visitors of one port."""

    def __init__(self, witness: Witness, port: int) -> None:
        self._witness = witness
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The port is open."""
        self._transport = cast(asyncio.DatagramTransport, transport)
        self._to = str(transport.get_extra_info("sockname")[0])

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """One visitor."""
        if self._port != 53:
            self._witness.note("udp", addr[0], self._to, self._port, data.decode("utf-8", "replace")[:80])
            self._transport.sendto(f"you are in {self._witness.role}\n".encode(), addr)
            return
        try:
            answer = self._witness.resolve(data)
        except (IndexError, struct.error):
            return
        self._witness.note("dns", addr[0], self._to, 53, data[12:60].decode("ascii", "replace"))
        self._transport.sendto(answer, addr)


async def main(role: str, log: Path, ready: Path, names: Mapping[str, str]) -> None:
    """Stand there until told to go."""
    witness = Witness(role, log, names)
    loop = asyncio.get_running_loop()
    for port in (*PORTS, 53) if names else PORTS:
        for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            if port != 53:
                await asyncio.start_server(witness.serve_stream, anywhere, port, family=family)
            for address in (*_own_addresses(), anywhere) if family == socket.AF_INET else (anywhere,):
                # A socket per address: a datagram's answer must come from where the question went.
                plug = socket.socket(family, socket.SOCK_DGRAM)
                plug.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    plug.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                plug.bind((address, port))
                await loop.create_datagram_endpoint(lambda port=port: Datagrams(witness, port), sock=plug)  # type: ignore[misc]
    ready.touch()
    await asyncio.Event().wait()


def _own_addresses() -> list[str]:
    """This namespace's IPv4 addresses: those that the kernel would receive packets for."""
    found = []
    previous = ""
    for line in Path("/proc/self/net/fib_trie").read_text().splitlines():
        if "/32 host LOCAL" in line and previous not in found:
            found.append(previous)
        previous = line.split()[-1] if line.strip().startswith("|--") else previous
    return found


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4])))
