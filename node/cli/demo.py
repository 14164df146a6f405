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

MATCHES_SHOWN = 3
"""Matches of one result pattern on the screen; --json has all."""


def demo(
    job: Annotated[
        str, typer.Option("--job", metavar="NAME", help="A built-in job: spam, speech, ocr or chat.")
    ] = "spam",
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="Keep keys, logs and journal here.", show_default=False),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE", help="Leave the job's bundle here.", show_default=False),
    ] = None,
    proof: Annotated[
        bool, typer.Option("--proof", help="Make a small work proof first: some 20 s more, most of it for finality.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the main job for real, from posting to pay and proof.

    On a chain of its own and this host's container engine.

    With --json the steps go to stderr and stdout ends with one line: `ok`, `cluster`, `programs` (address -> SHA-256),
    `market`, `node`, `job`, `run`, `definition_cid`, `result_cid`, `receipt_cid`, `settle_signature`, `pay` (`amount`
    in micro-NOS, `mint`), `gpu` (`provider`, `uuid`, `name`), `stages` (name -> seconds), `energy` (`joules`,
    `source`; null where no meter was), `verified` (check -> true, false or null where nothing could be checked),
    `checks` (each line of the verification), `answers` (what the job found), `service` (of a job that serves: `url`,
    `ready_seconds`, `models`, `similarity`, `question`, `answer`, `tokens`, `finish_reason`, `first_byte_seconds`;
    else null), `bundle` (`file`, `bytes`, `missing`, `ok`, `verified` as `gpunode verify --bundle` has it; null
    without --bundle), `work` (the work proof of --proof as `gpunode gpus` has it, else null), `folder` (where logs
    were kept, or null).
    """
    from node.cli import place
    from node.localnet.demo import Demo, DemoPlan
    from node.localnet.interruption import interruptible

    screen = StepScreen(sys.stderr if as_json else sys.stdout)

    async def run() -> dict[str, Any]:
        with interruptible(lambda: screen.step("Told to stop: putting away what was started")):
            return await Demo(DemoPlan(job=job, folder=keep, bundle=bundle, proof=proof), screen).run()

    try:
        summary = place.run(run())
    finally:
        screen.clear()
    if as_json:
        print(json.dumps(summary, ensure_ascii=False))
    else:
        show(job, summary)
    if not summary["ok"]:
        raise typer.Exit(FAILED)


class StepScreen:
    """Steps and facts as plain lines; passing progress only where a terminal can take it back."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._passing = ""

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
        if not self._live or text == self._passing:
            return
        room = shutil.get_terminal_size((80, 24)).columns - 6
        print(f"\r\x1b[2K    {output.printable(text)[:room]}", end="", file=self._stream, flush=True)
        self._passing = text

    def clear(self) -> None:
        """Take back a passing line."""
        if self._passing:
            print("\r\x1b[2K", end="", file=self._stream, flush=True)
            self._passing = ""


def show(job: str, summary: dict[str, Any]) -> None:
    """The summary for people."""
    output.line()
    output.heading("The job and its proof")
    pay = summary["pay"]
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
            ("settled by", f"{summary['settle'] or 'nothing'}, {summary['settle_signature'] or 'no transaction'}"),
            ("pay", f"{amounts.nos(pay['amount'])} (mint {pay['mint']})"),
            ("GPU", _gpu(summary["gpu"])),
            ("energy", _energy(summary["energy"])),
            ("work proof", None if summary["work"] is None else summary["work"]["cid"]),
            ("bundle", None if summary["bundle"] is None else summary["bundle"]["file"]),
            ("logs kept", summary["folder"]),
        ]
    )
    output.line()
    output.table(["stage", "seconds"], [(name, f"{spent:.3f}") for name, spent in _spent(summary)])
    output.line()
    _show_answers(job, summary["answers"])
    output.heading("Programs of the chain (SHA-256)")
    for address, digest in summary["programs"].items():
        output.line(f"  {address}  {digest}")
    output.line()
    output.heading("Verification (gpunode verify)")
    for check in summary["checks"]:
        label = check["label"].replace("_", " ")
        print(f"  {output.mark(check['ok'])} {label:<11} {check['name']}: {_short(check['detail'])}")
    output.line()
    output.line(f"The job {job} works on this machine." if summary["ok"] else _trouble(summary))


def _show_answers(job: str, answers: dict[str, Any]) -> None:
    from node.localnet.demo_summary import found_matches

    if not answers:
        return
    output.heading("What the job found")
    for name, matches in found_matches(job, answers).items():
        for match in matches[:MATCHES_SHOWN]:
            output.line(f"  {name:<10}  {_short(match)}")
        if len(matches) > MATCHES_SHOWN:
            output.line(f"  {name:<10}  … and {len(matches) - MATCHES_SHOWN} more")
    output.line()


def _short(text: str) -> str:
    """The text on one line of the screen."""
    clean = output.printable(text)
    room = max(40, output.width() - 32)
    return clean if len(clean) <= room or not output.on_terminal() else f"{clean[: room - 1]}…"


def _trouble(summary: dict[str, Any]) -> str:
    failed = [check["name"] for check in summary["checks"] if check["ok"] is False]
    failed += [name for name, held in (summary["bundle"] or {}).get("verified", {}).items() if held is False]
    if failed:
        return f"The job does not verify: {', '.join(failed)}."
    return f"The job was not done and paid for: {summary['refusal'] or summary['cause'] or 'no reason known'}."


def _energy(energy: dict[str, Any] | None) -> str:
    if energy is None or energy["joules"] is None:
        return "not metered"
    return f"{energy['joules']:.1f} J ({energy['source']})"


def _gpu(gpu: dict[str, Any]) -> str:
    described = f"{gpu.get('name')} {gpu.get('uuid')}"
    return f"{described} (provider simulated: no NVIDIA GPU here)" if gpu.get("provider") == "simulated" else described


def _spent(summary: dict[str, Any]) -> list[tuple[str, float]]:
    return [(name, spent) for name, spent in summary["stages"].items() if spent is not None]
