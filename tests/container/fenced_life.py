"""One operation behind the packet filter, in a process that stands in the network namespace of a test's host.

`python -m tests.container.fenced_life FOLDER SOCKET`: runs the operation pickled in FOLDER/operation with the settings
in FOLDER/network and prints its final state.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from pathlib import Path

from node.container.docker import DockerEngine
from node.container.egress.fitting import network_guard
from node.container.egress.networks import JobNetworks
from node.container.runner import OperationRunner
from node.container.stop import StopSignal
from node.journal.codec import encode
from node.records import OperationState, PlannedOperation
from node.retry import SystemClock
from node.settings_network import NetworkSettings


async def live(folder: Path, socket: Path) -> None:
    """Run it to its end."""
    operation: PlannedOperation = pickle.loads((folder / "operation").read_bytes())
    settings = NetworkSettings.model_validate_json((folder / "network").read_bytes())
    engine = DockerEngine(socket)

    async def on_change(state: OperationState) -> None:
        """Nothing here outlives this process."""

    guard = network_guard(settings, SystemClock())
    runner = OperationRunner(engine, folder, stop_grace=1.0, networks=JobNetworks(engine, guard))
    print(encode(await runner.run_operation(operation, None, on_change=on_change, stop=StopSignal())))
    await engine.aclose()


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1]), Path(sys.argv[2])))
