"""A life of the agent's container room in a process of its own, which a test may kill.

`python -m tests.container.life FOLDER WHOLE_BYTES` runs the operation pickled in FOLDER/operation, from the state in
FOLDER/state where there is one, and keeps that file up to date. When the container has ended, what the engine has
recorded is kept once more in FOLDER/reference, as a follower sees it that was never interrupted. FOLDER/stop: told to
stop.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from pathlib import Path

from node.container import log as log_module
from node.container.docker import DockerEngine
from node.container.follower import collect
from node.container.log import LogKeeper
from node.container.runner import OperationRunner
from node.container.stop import StopSignal
from node.journal.codec import decode, encode
from node.records import EndCause, OperationState, PlannedOperation


async def live(folder: Path) -> None:
    operation: PlannedOperation = pickle.loads((folder / "operation").read_bytes())
    known = folder / "state"
    previous = decode(known.read_text(), OperationState) if known.exists() else None
    engine = DockerEngine()
    stop = StopSignal()
    if (folder / "stop").exists():
        stop.request(EndCause.EXPIRED)

    async def on_change(state: OperationState) -> None:
        if state.ended_ms is not None and state.container_id is not None:
            keeper = LogKeeper(folder / "reference", operation.container.limits.log_bytes)
            await collect(engine, state.container_id, keeper)
            keeper.close()
        draft = folder / "draft"
        draft.write_text(encode(state))
        draft.replace(known)

    runner = OperationRunner(engine, folder, stop_grace=1.0)
    await runner.run_operation(operation, previous, on_change=on_change, stop=stop)
    await engine.aclose()


if __name__ == "__main__":
    log_module.WHOLE_BYTES = int(sys.argv[2])
    asyncio.run(live(Path(sys.argv[1])))
