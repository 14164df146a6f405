"""`gpunode localnet`: a Solana chain on this machine, and what can be done to it while it runs."""

from __future__ import annotations

import typer

from node.cli.localnet import faults
from node.cli.localnet.accounts import mint, set_account
from node.cli.localnet.advance import advance
from node.cli.localnet.faucet import faucet
from node.cli.localnet.snapshots import export, restore, snapshot
from node.cli.localnet.start import start

group = typer.Typer(help="Run a Solana chain of your own, to try things out.", no_args_is_help=True)
group.command()(start)
group.command()(faucet)
group.add_typer(faults.group, name="faults")
group.command()(mint)
group.command("set-account")(set_account)
group.command()(advance)
group.command()(snapshot)
group.command()(restore)
group.command()(export)
