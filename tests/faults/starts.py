"""How often each job's containers were really started: counted from the engine's own events."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import docker

from node.container.engine import JOB_LABEL, NODE_LABEL


class Starts:
    """Starts of containers that carry our label, by job."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def of(self, job: str) -> int:
        """Starts seen so far."""
        return self._counts[job]

    def _take(self, event: dict[str, Any]) -> None:
        self._counts[str(event.get("Actor", {}).get("Attributes", {}).get(JOB_LABEL, ""))] += 1


@contextmanager
def counted(client: docker.APIClient) -> Iterator[Starts]:
    """Count while the block runs."""
    starts = Starts()
    filters = {"type": "container", "event": "start", "label": NODE_LABEL}
    events = client.events(decode=True, filters=filters)

    def follow() -> None:
        with suppress(Exception):  # closed from the other thread
            for event in events:
                starts._take(event)

    thread = threading.Thread(target=follow, daemon=True, name="engine events")
    thread.start()
    try:
        yield starts
    finally:
        with suppress(Exception):
            events.close()
