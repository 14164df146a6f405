"""A life of an agent's desk that ends at a mark: `python -m tests.content.resources.life ROOT URL MARK WHEN`.

It takes data for a run, once shared and once as its own copy, releases them, and takes others, for which the first have
to go. With an empty mark it lives to its end.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from node.content.resources.desk import ResourceDesk
from node.marks import Mark, When, listen
from node.settings_resources import ResourceSettings
from tests.content.resources.wants import have, s3

BUDGET = 2_500_000


def desk_at(root: Path) -> ResourceDesk:
    """A desk with room for two of the three files."""
    return ResourceDesk(ResourceSettings(cache=BUDGET), root, exempt=lambda host, port: host == "127.0.0.1")


async def live(desk: ResourceDesk, url: str) -> None:
    """The scene."""
    await have(desk, s3(f"{url}/a"), s3(f"{url}/a", writable=True), run="first")
    await desk.release("first")
    await have(desk, s3(f"{url}/b"), run="second")
    await have(desk, s3(f"{url}/c"), run="third")


def main() -> None:
    root, url, mark, when = sys.argv[1:]

    def die(passed: Mark, side: When) -> None:
        if (passed, side) == (mark, when):
            os._exit(9)

    listen(die)
    asyncio.run(live(desk_at(Path(root)), url))


if __name__ == "__main__":
    main()
