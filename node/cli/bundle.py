"""`gpunode bundle`: all that is known of one job in one signed file, for a dispute."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli import amounts, output
from node.cli.options import JsonOption, SettingsOption, WalletOption
from node.errors import GpunodeError, UsageError

if TYPE_CHECKING:
    from node.agent.bundle_parts import BundleWish
    from node.proof.bundle_document import Account
    from node.settings import Settings


def bundle(
    job: Annotated[str, typer.Argument(help="Address of a job or of its run.", metavar="JOB")],
    file: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Default: JOB.bundle.json here.", show_default=False),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="With definition, result, logs and texts of errors: they are the poster's.")
    ] = False,
    chain: Annotated[
        int, typer.Option("--chain", min=0, max=1000, metavar="N", help="Earlier receipts to put in, at most.")
    ] = 8,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    wallet: WalletOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put all that is known of one job into one signed file.

    Receipt, host card, GPU work proof, settle transaction, earlier receipts, exit codes, GPU errors, stage times,
    how the job was isolated; nothing of the poster's without --full. Whoever has the file checks it with
    `gpunode verify --bundle FILE`, without a network. Of a job without a receipt it holds what there is, and says what
    it lacks.

    JSON: `file`, `bytes`, `full`, `job`, `run`, `node`, `parts` (name -> bytes), `missing` (`part`, `why`), `left_out`.
    """
    from node.agent.bundle_parts import BundleWish
    from node.cli import place
    from node.proof.bundle import parse_bundle

    loaded = place.load(settings)
    target = _target(file, job)
    if not force:
        _require_free(target)
    body = place.run(_made(loaded, job, BundleWish(full, chain), wallet))
    # What is handed on was read back as its reader will.
    made = parse_bundle(body)
    _write(target, body, force)
    said, sizes = made.account, {name: len(part) for name, part in made.parts.items()}
    known = {
        "file": str(target),
        "bytes": len(body),
        "full": said.full,
        "job": said.job.job,
        "run": said.job.run,
        "node": made.signer,
        "parts": sizes,
        "missing": [each.model_dump() for each in said.missing],
        "left_out": list(said.left_out),
    }
    output.emit(known, as_json, lambda: _show(known, said))


async def _made(settings: Settings, job: str, wish: BundleWish, wallet: Path | None) -> bytes:
    """Signed by the agent, if one runs; else here, with the lane's key."""
    from node.api.client import ControlClient, NoAgent

    if wallet is None:
        try:
            async with ControlClient(settings.locations.control_socket) as client:
                return await client.bundle(job, full=wish.full, earlier=wish.earlier)
        except NoAgent:
            pass
    return await _made_here(settings, job, wish, wallet)


async def _made_here(settings: Settings, job: str, wish: BundleWish, wallet: Path | None) -> bytes:
    from contextlib import aclosing

    from node.agent.bundle import BundleMaker, sign_with
    from node.agent.bundle_sources import Network
    from node.chain.clusters import cluster_named
    from node.chain.policy import SpendingPolicy
    from node.chain.rpc import Rpc
    from node.cli.wallet_file import load_wallet
    from node.content.library import open_library
    from node.errors import ControlError
    from node.journal.reader import JournalReader
    from node.proof.envelope import Sign
    from node.records import JobSummary

    journal = settings.locations.journal
    if not journal.exists():
        raise ControlError(f"{job}: this host has run no such job", hint=f"there is no journal at {journal}")
    cluster = cluster_named(settings.cluster, settings.ids)

    def signer(run: JobSummary) -> Sign:
        opened = load_wallet(settings, wallet, None if wallet is not None else run.lane)
        return sign_with({opened.address: opened.signer(SpendingPolicy(cluster, {})).sign_document}, run)

    async with (
        await JournalReader.open_readonly(journal) as reader,
        Rpc(settings.rpc.urls, timeout=settings.rpc.timeout) as rpc,
        aclosing(open_library(settings.content, settings.locations.content)) as library,
    ):
        return await BundleMaker(settings, reader, signer, Network(rpc, library)).make(job, wish)


def _target(file: Path | None, job: str) -> Path:
    if file is None and not (job.isascii() and job.isalnum()):
        raise UsageError(f"{job[:60]!r} is not a job or run address", hint="see `gpunode jobs`")
    return file.expanduser() if file is not None else Path(f"{job}.bundle.json")


def _require_free(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target} is there already", hint="name another file with --output, or replace it: --force")


def _write(target: Path, body: bytes, force: bool) -> None:
    """The file, whole or not at all, for its owner alone."""
    descriptor, temporary = -1, ""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=target.absolute().parent, prefix=f".{target.name}-")  # mode 0600
        with os.fdopen(descriptor, "wb") as out:
            out.write(body)
            out.flush()
            os.fsync(out.fileno())
        if force:
            Path(temporary).replace(target)
            return
        try:
            # Not a rename: that would replace what came to be there meanwhile.
            os.link(temporary, target)
        except FileExistsError:
            _require_free(target)
            raise
        Path(temporary).unlink()
    except OSError as error:
        raise GpunodeError(
            f"{target} cannot be written: {error.strerror or error}", hint="name another file with --output"
        ) from None
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def _show(known: dict[str, Any], said: Account) -> None:
    end = f"{said.end.stage}" if said.settlement is None else f"{said.settlement.kind}"
    output.fields(
        [
            ("file", known["file"]),
            ("size", amounts.size(known["bytes"])),
            ("job", known["job"]),
            ("run", known["run"]),
            ("node", known["node"]),
            ("ended", f"{end}, {said.end.cause or said.end.refused or 'no cause'}"),
            ("holds", ", ".join(known["parts"]) or "no parts"),
        ]
    )
    for each in known["missing"]:
        output.line(f"missing  {each['part']}: {each['why']}")
    if known["left_out"]:
        output.line(f"Left out, because it is the poster's: {', '.join(known['left_out'])}. --full puts it in.")
    else:
        output.line("It holds what came from the job's poster: think of whom you give it to.")
    output.line(f"Whoever has it checks it with: gpunode verify --bundle {known['file']}")
