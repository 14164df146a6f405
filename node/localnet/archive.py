"""A running chain's saved forms: the state file it is kept in, and snapshots that are taken of it and put back.

`GET /snapshot` on the RPC port answers the chain as it is now in the form of a state file (see `snapshot.py`);
`PUT /snapshot` with such a file makes the running chain that one. Both are for this machine only: the file holds the
chain's secret keys. A restored chain goes on where the snapshot was taken, with its own clock going on with the
machine's; open sockets are closed, as when a node is restarted.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from node.errors import LocalnetError
from node.localnet import snapshot as snapshots
from node.localnet.birth import Born, restore, standing_accounts
from node.localnet.genesis import Programs
from node.localnet.keys import write_keys
from node.localnet.server import is_loopback
from node.localnet.snapshot import Snapshot

if TYPE_CHECKING:
    from node.localnet.app import Localnet

_log = logging.getLogger(__name__)
_MOST_BYTES = 2 * 1024**3
"""Of a snapshot that is put back."""
_PIECE = 256 * 1024
_TYPE = "application/zip"


class Archive:
    """Saves and restores one running chain. `package`: the programs that every chain begins with."""

    def __init__(self, net: Localnet, package: Programs) -> None:
        self._net = net
        self._package = package
        self._writing = threading.Lock()
        self._ended = False

    # --- saving

    def take(self) -> Snapshot:
        """The chain as it is now."""
        net = self._net
        return snapshots.take(
            net.validator,
            ids=net.cluster.ids,
            empty=net.empty,
            ahead=net.time.ahead,
            keys=net.keys,
            market=net.market,
            standing=standing_accounts(net.validator.bank, self._package),
        )

    def save_last(self, path: Path) -> None:
        """Write the chain to a file, after which `keep` writes no more. Raises LocalnetError where it cannot be."""
        with self._writing:
            self._ended = True
            snapshots.save(path, self.take(), self._net.content.folder)

    async def keep(self, path: Path, every: float) -> None:
        """Save the chain every so many seconds, if anything but time has gone by since."""
        saved = self._marks()
        while True:
            await self._net.options.clock.sleep(every)
            marks = self._marks()
            if marks == saved:
                continue
            try:
                # Compressing takes long, and slots go on meanwhile: what was taken does not change any more.
                await asyncio.to_thread(self._save, path, self.take())
                saved = marks
            except LocalnetError as error:
                _log.warning("%s; it is tried again in %g s", error, every)

    def _save(self, path: Path, taken: Snapshot) -> None:
        # A thread cannot be cancelled: one that comes late must not write an old chain over the last one.
        with self._writing:
            if not self._ended:
                snapshots.save(path, taken, self._net.content.folder)

    def _marks(self) -> tuple[int, ...]:
        validator, stored = self._net.validator, self._net.content.folder
        return (validator.transaction_count, validator.placed, self._net.time.ahead, len(list(stored.iterdir())))

    # --- restoring

    def restore(self, path: Path) -> None:
        """Make the running chain the saved one.

        Raises LocalnetError for a file that is no saved chain, and for one with other addresses or other keys than
        this chain's options allow.
        """
        net = self._net
        loaded = snapshots.load(path, net.content.folder)
        born: Born = restore(net.options, loaded, self._package)
        if net.options.keys is not None:
            write_keys(net.options.keys, born.keys)
        net.become(born)

    # --- over HTTP

    def routes(self, disconnect: Callable[[], Awaitable[None]]) -> list[web.RouteDef]:
        """The HTTP face; `disconnect` closes all sockets."""

        async def put(request: web.Request) -> web.Response:
            with tempfile.TemporaryDirectory(prefix="gpunode-snapshot-") as folder:
                file = Path(folder) / "chain.zip"
                await _receive(request, file)
                try:
                    self.restore(file)
                except LocalnetError as error:
                    error.message = error.message.replace(str(file), "the snapshot")
                    raise
            await disconnect()
            head = self._net.validator.slots.head
            return web.json_response({"slot": head.slot, "blockHeight": head.height})

        return [web.get("/snapshot", _guarded(self._get), allow_head=False), web.put("/snapshot", _guarded(put))]

    async def _get(self, _request: web.Request) -> web.Response:
        taken = self.take()
        with tempfile.TemporaryDirectory(prefix="gpunode-snapshot-") as folder:
            file = Path(folder) / "chain.zip"
            await asyncio.to_thread(snapshots.save, file, taken, self._net.content.folder)
            return web.Response(body=file.read_bytes(), content_type=_TYPE)


Handler = Callable[[web.Request], Awaitable[web.Response]]


def _guarded(handler: Handler) -> Handler:
    """For this machine only; what goes wrong is answered as `{"error": {"message", "hint"}}`."""

    async def answer(request: web.Request) -> web.Response:
        if not is_loopback(request.remote):
            return web.Response(status=403, text="snapshots are for programs on this machine only")
        try:
            return await handler(request)
        except LocalnetError as error:
            return web.json_response({"error": {"message": error.message, "hint": error.hint}}, status=400)

    return answer


async def _receive(request: web.Request, file: Path) -> None:
    size = 0
    with file.open("wb") as target:
        async for piece in request.content.iter_chunked(_PIECE):
            size += len(piece)
            if size > _MOST_BYTES:
                raise LocalnetError(f"a snapshot is at most {_MOST_BYTES} bytes", hint="Keep fewer transactions.")
            target.write(piece)
