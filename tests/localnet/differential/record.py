"""Records what the real node answers: `python -m tests.localnet.differential.record`, from the repository's root.

Needs the real node's binary. Writes `recorded.json` beside this file: the masked answers by the names of the requests,
equal ones together. Where that is newer than the embedded chain's answers, the test says what differs.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from tests.localnet.differential.chains import real
from tests.localnet.differential.session import answers

RECORDED = Path(__file__).with_name("recorded.json")


def read_recorded() -> dict[str, Any]:
    """The recorded answer to each request by its name."""
    groups = json.loads(RECORDED.read_text())
    return {name: group["answer"] for group in groups for name in group["requests"]}


def write_recorded(found: dict[str, Any]) -> None:
    """Replace what is recorded."""
    groups: dict[str, list[str]] = {}
    for name in sorted(found):
        groups.setdefault(json.dumps(found[name], sort_keys=True, separators=(",", ":")), []).append(name)
    rows = [f'{{"requests":{json.dumps(names)},"answer":{answer}}}' for answer, names in groups.items()]
    RECORDED.write_text("[\n" + ",\n".join(rows) + "\n]\n")


async def main() -> None:
    """Run the real node, ask it, record."""
    with tempfile.TemporaryDirectory() as folder:
        async with real(Path(folder)) as chain:
            write_recorded(await answers(chain))


if __name__ == "__main__":
    asyncio.run(main())
