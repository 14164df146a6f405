"""What stands in the way of taking jobs, by subject, for the lanes to read."""

from __future__ import annotations

import asyncio

from node.errors import LaneDegraded


class HealthBoard:
    """The host's hindrances. Lanes read; whoever looks after a subject writes."""

    def __init__(self) -> None:
        self._hindrances: dict[str, LaneDegraded] = {}
        self._hindered = asyncio.Event()

    def put(self, subject: str, hindrance: LaneDegraded | None) -> None:
        """The subject stands in the way, or (None) does not any more."""
        if hindrance is None:
            self._hindrances.pop(subject, None)
        else:
            self._hindrances[subject] = hindrance
        if self._hindrances:
            self._hindered.set()
        else:
            self._hindered.clear()

    def hindrance(self) -> LaneDegraded | None:
        """The one that came first; None: nothing stands in the way."""
        return next(iter(self._hindrances.values()), None)

    async def hindered(self) -> None:
        """Return as soon as something stands in the way."""
        await self._hindered.wait()
