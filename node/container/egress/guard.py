"""Keeps the packet filter in place for as long as the agent runs."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from node.container.egress.firewall import Firewall, Presence, Standing
from node.container.egress.names import ListedNames

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Guard:
    """Sees to the table. Asked at the start, before a lane joins, before a container starts, and now and then."""

    firewall: Firewall | None
    """None: the settings have switched the packet filter off."""
    names: ListedNames | None = None
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)
    _seen: bool = False

    async def ensure(self) -> None:
        """Return with the table in place, loaded anew if it was not. Raises FilterError where that cannot be."""
        if self.firewall is None:
            return
        async with self._one:
            before = await asyncio.to_thread(self.firewall.install)
            if before.presence is not Presence.PRESENT:
                self._say(before)
            self._seen = True
            if self.names is not None and self.names.is_due(before.presence is not Presence.PRESENT):
                await self.names.refresh()

    def _say(self, before: Standing) -> None:
        # Before the first job nothing was lost; later on it is somebody's doing.
        level = logging.WARNING if self._seen else logging.INFO
        log.log(level, "%s: loaded it", before.reason)
