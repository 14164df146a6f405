"""`gpunode localnet snapshot`, `restore` and `export`: a chain in a file, out of one, and for another validator."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from node.cli import output
from node.cli.localnet.options import (
    DEFAULT_RPC,
    AccountOption,
    EmptyOption,
    IdsOption,
    LocalnetOption,
    ProgramOption,
)
from node.cli.options import JsonOption
from node.errors import UsageError


def snapshot(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Written over if it exists.", show_default=False)],
    rpc: LocalnetOption = DEFAULT_RPC,
    as_json: JsonOption = False,
) -> None:
    """Save the running chain to a file.

    `restore` and `start --state` read it. It holds the chain's secret keys.

    JSON: `ok`, `file`, `bytes`.
    """
    from node.cli import place
    from node.localnet.client import fetch_snapshot

    path = file.expanduser().absolute()
    size = place.run(fetch_snapshot(rpc, path))
    output.emit({"ok": True, "file": path, "bytes": size}, as_json, lambda: output.line(f"{path} ({size:,} bytes)"))


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `snapshot` wrote.", show_default=False)],
    rpc: LocalnetOption = DEFAULT_RPC,
    as_json: JsonOption = False,
) -> None:
    """Make the running chain that of a file.

    Accounts, transactions, blockhashes, keys and clock are those of the file. The clock has gone on meanwhile, as in a
    restarted chain. Open sockets are closed.

    JSON: `ok`, `slot`, `blockHeight` of the newest block.
    """
    from node.cli import place
    from node.localnet.client import put_snapshot

    head = place.run(put_snapshot(rpc, file.expanduser()))
    output.emit({"ok": True, **head}, as_json, lambda: output.line(f"slot {head['slot']}, block {head['blockHeight']}"))


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.", show_default=False)],
    rpc: Annotated[
        str | None,
        typer.Option("--rpc", metavar="URL", help="Export this running localnet, not a new chain.", show_default=False),
    ] = None,
    ids: IdsOption = "devnet",
    empty: EmptyOption = False,
    program: ProgramOption = None,
    account: AccountOption = None,
    keys: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Key files for the new chain to use.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a chain for solana-test-validator.

    Programs, accounts and keys, as release 3.1.8 takes them; the command that starts it is printed.
    DIR/start.sh holds that command as well and takes further options of the validator.

    JSON: `ok`, `folder`, `command` (a list), `line` (the same, quoted for a shell).
    """
    from node.cli import place
    from node.cli.chain import birth_options
    from node.localnet.export import export_fresh

    path = folder.expanduser().absolute()
    if rpc is None:
        command = export_fresh(birth_options(ids, empty, program, account, keys), path)
    elif empty or program or account or keys or ids != "devnet":
        raise UsageError("a running chain is exported as it is", hint="leave --rpc out to export a new one")
    else:
        command = place.run(_running(rpc, path))
    line = shlex.join(command)
    output.emit({"ok": True, "folder": path, "command": command, "line": line}, as_json, lambda: _show(path, line))


async def _running(rpc: str, folder: Path) -> list[str]:
    import tempfile

    from node.localnet.client import fetch_snapshot
    from node.localnet.export import export_snapshot

    with tempfile.TemporaryDirectory(prefix="gpunode-export-") as place:
        file = Path(place) / "chain.zip"
        await fetch_snapshot(rpc, file)
        return export_snapshot(file, folder)


def _show(folder: Path, line: str) -> None:
    print(line)  # whole and as it is, to be copied into a shell
    output.note(f"written to {folder}; the keys are in {folder / 'keys'}")
