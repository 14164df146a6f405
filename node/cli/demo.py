"""`gpunode demo`: the main job from posting to pay, on this machine."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from node.cli import amounts, output
from node.cli.failure import FAILED
from node.cli.options import JsonOption


def demo(
    job: Annotated[str, typer.Option("--job", metavar="NAME", help="Which of the demo jobs.")] = "spam",
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="Keep keys, logs and journal here.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the main job for real: own chain, this host's engine, pay and proof.

    With --json the steps go to stderr and stdout ends with one line: `ok`, `cluster`, `programs` (address -> SHA-256),
    `market`, `node`, `job`, `run`, `definition_cid`, `result_cid`, `receipt_cid`, `settle_signature`, `pay`
    (`amount` in micro-NOS, `mint`), `gpu`, `stages` (name -> seconds), `energy`, `verified` (check -> true, false or
    null where nothing could be checked), `answers` (what the job found).
    """
    from node.cli import place
    from node.localnet.demo import Demo, DemoPlan

    screen = StepScreen(sys.stderr if as_json else sys.stdout)
    plan = DemoPlan(job=job, folder=keep)
    try:
        summary = place.run(Demo(plan, screen).run())
    finally:
        screen.clear()
    if as_json:
        print(json.dumps(summary, ensure_ascii=False))
    else:
        show(summary)
    if not summary["ok"]:
        raise typer.Exit(FAILED)


class StepScreen:
    """Steps and facts as plain lines; passing progress only where a terminal can take it back."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._passing = False

    def step(self, text: str) -> None:
        """A step begins."""
        self.clear()
        bold, plain = ("\x1b[1m", "\x1b[0m") if self._live else ("", "")
        print(f"{bold}» {text}{plain}", file=self._stream, flush=True)

    def detail(self, text: str) -> None:
        """A fact about the step at hand."""
        self.clear()
        print(f"    {output.printable(text)}", file=self._stream, flush=True)

    def progress(self, text: str) -> None:
        """A passing line on long work."""
        if not self._live:
            return
        room = shutil.get_terminal_size((80, 24)).columns - 6
        print(f"\r\x1b[2K    {output.printable(text)[:room]}", end="", file=self._stream, flush=True)
        self._passing = True

    def clear(self) -> None:
        """Take back a passing line."""
        if self._passing:
            print("\r\x1b[2K", end="", file=self._stream, flush=True)
            self._passing = False


def show(summary: dict[str, Any]) -> None:
    """The summary for people."""
    output.line()
    output.heading("The job and its proof")
    pay = summary["pay"]
    energy = summary.get("energy") or {}
    joules = energy.get("joules")
    output.fields(
        [
            ("cluster", summary["cluster"]),
            ("market", summary["market"]),
            ("node", summary["node"]),
            ("job", summary["job"]),
            ("run", summary["run"]),
            ("definition", summary["definition_cid"]),
            ("result", summary["result_cid"]),
            ("receipt", summary["receipt_cid"]),
            ("settled by", f"{summary['settle']}, {summary['settle_signature']}"),
            ("pay", f"{amounts.nos(pay['amount'])} (mint {pay['mint']})"),
            ("GPU", _gpu(summary["gpu"])),
            ("energy", "not metered" if joules is None else f"{joules:.1f} J ({energy.get('source')})"),
        ]
    )
    output.line()
    output.table(["stage", "seconds"], [(name, f"{spent:.3f}") for name, spent in _spent(summary)])
    output.line()
    output.heading("What the job found")
    for name, values in summary["answers"].items():
        output.line(f"  {name}: {values}")
    output.line()
    output.heading("Programs of the chain (SHA-256)")
    for address, digest in summary["programs"].items():
        output.line(f"  {address}  {digest}")
    output.line()
    output.heading("Verification (gpunode verify)")
    for name, good in summary["verified"].items():
        print(f"  {output.mark(good)} {name}")
    output.line()
    output.line("The main job works on this machine." if summary["ok"] else "Something is wrong: see above.")


def _gpu(gpu: dict[str, Any]) -> str:
    described = f"{gpu.get('name')} {gpu.get('uuid')}"
    return f"{described} (provider simulated: no NVIDIA GPU here)" if gpu.get("provider") == "simulated" else described


def _spent(summary: dict[str, Any]) -> list[tuple[str, float]]:
    return [(name, spent) for name, spent in summary["stages"].items() if spent is not None]
