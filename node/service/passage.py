"""Bytes on their way from one connection to another, no faster than they are taken."""

from __future__ import annotations

import asyncio

from node.service.channel import Channel, ChannelLost, ChannelSlow
from node.service.framing import Reader, Writer


async def pass_body(
    source: Channel, sink: Channel, reader: Reader, writer: Writer, *, patience: float | None, waits: float | None
) -> None:
    """Pass one body. `patience`: seconds for the source to send on, `waits`: for the sink to take what was sent.

    Raises ChannelLost (the source was cut, or the sink is gone), ChannelSlow and BadHead (chunks that are none).
    """
    while not reader.done:
        if not await source.more(patience):
            if source.broken or not reader.open_ended:
                raise ChannelLost
            if end := writer.end(()):
                sink.write(end)
            return
        before = len(source.buffer)
        if data := framed(reader, writer, source):
            sink.write(data)
            await sink.flushed(waits)
        elif not reader.done and len(source.buffer) == before and not await source.wait_beyond(before, patience):
            raise ChannelLost  # in the middle of a chunk's line


def framed(reader: Reader, writer: Writer, source: Channel) -> bytes:
    """What there is of a body, as it is passed on; its end with its last piece."""
    piece = writer.piece(reader.feed(source.buffer))
    return piece + writer.end(reader.trailers) if reader.done else piece


async def splice_both(client: Channel, service: Channel, patience: float) -> bool:
    """Pass bytes as they are both ways, until both sides have closed; False: a side was cut off or too slow."""
    async with asyncio.TaskGroup() as group:
        ways = {
            group.create_task(_splice(client, service, None)),
            group.create_task(_splice(service, client, patience)),
        }
        whole = True
        while ways and whole:
            # Once one side has closed, the other may still say its last words, and not for ever.
            seconds = None if len(ways) == 2 else patience
            over, ways = await asyncio.wait(ways, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            whole = bool(over) and all(way.result() for way in over)
        for way in ways:
            way.cancel()
    return whole


async def _splice(source: Channel, sink: Channel, waits: float | None) -> bool:
    """Pass bytes as they are until the source has no more; False: one of them was cut off, or did not take them."""
    try:
        while await source.more():
            data = bytes(source.buffer)
            source.buffer.clear()
            sink.write(data)
            await sink.flushed(waits)
        if not source.broken:
            sink.end()
    except (ChannelLost, ChannelSlow, OSError):
        return False
    return not source.broken
