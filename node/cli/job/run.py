"""`gpunode job run`: a definition on this host alone, without a chain."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli import output, place
from node.cli.failure import FAILED
from node.cli.options import JsonOption, SettingsOption

if TYPE_CHECKING:
    from node.agent.local_run import Listener
    from node.api.owner.port import LogFrame
    from node.container.stop import StopSignal
    from node.settings import Settings


def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Definition; - is stdin.")],
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a definition on this host, without a chain, and show what it says.

    Engine, isolation, limits, GPUs and order are an agent's by the same settings; without settings, the defaults and
    no packet filter. Services are found at http://ID.localhost:PORT. Nothing of an agent's is touched, and nothing
    stays. Ctrl-C ends the job; twice, at once.

    JSON: the result document as the market would store it; what the job says goes to stderr. Exit status 1 unless the
    job's status is success.
    """
    from node.agent.local_run import plain_settings
    from node.cli.job.files import read_definition

    body = read_definition(file)
    found = place.load_if_any(settings) or plain_settings()
    with tempfile.TemporaryDirectory(prefix="gpunode-run-") as folder:
        document = place.run(_run(body, found, Path(folder), _listener(as_json)))
    output.emit(document, as_json, lambda: _show(document))
    if document["status"] != "success":
        raise typer.Exit(FAILED)


async def _run(body: bytes, settings: Settings, folder: Path, listener: Listener) -> dict[str, Any]:
    from node.agent.local_run import run_locally
    from node.container.stop import StopSignal

    stop = StopSignal()
    with _interruptible(stop, asyncio.current_task()):
        return await run_locally(body, settings, folder, stop, listener)


@contextmanager
def _interruptible(stop: StopSignal, task: asyncio.Task[Any] | None) -> Iterator[None]:
    """The first interruption ends the job in order, another one at once."""
    from node.records import EndCause

    def interrupted() -> None:
        if stop.cause is None:
            output.note("stopping; once more to end at once")
            stop.request(EndCause.STOPPED)
        elif task is not None:
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _listener(as_json: bool) -> Listener:
    from node.agent.local_run import Listener

    return Listener(
        on_log=_log_printer(sys.stderr.write if as_json else sys.stdout.write),
        on_progress=_progress,
        on_service=lambda operation, url: output.note(f"{operation}: {url}"),
    )


def _log_printer(write: Callable[[str], object]) -> Callable[[LogFrame], None]:
    def on_log(frame: LogFrame) -> None:
        if frame.stream:
            text = str(frame.message)
            for line in text.splitlines() or [""]:
                write(f"{output.printable(frame.operation)} | {output.printable(line)}\n")
            sys.stdout.flush()

    return on_log


def _progress(line: str) -> None:
    if line:
        output.note(line)


def _show(document: dict[str, Any]) -> None:
    rows = [
        (state["operationId"], state["group"], state["status"], state["exitCode"], _results(state))
        for state in document["opStates"]
    ]
    output.table(("operation", "group", "status", "exit code", "results"), rows)
    for state in document["opStates"]:
        for error in state["errors"]:
            output.line(f"{state['operationId']}: {error['event']}: {error['message']}")
        for entry in state["logs"]:
            if entry["type"] == "nodeerr":
                output.line(f"{state['operationId']}: {entry['log'].rstrip()}")
    output.line(f"status: {document['status']}")


def _results(state: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in state.get("results", {}).items())
