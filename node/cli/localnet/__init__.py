"""`gpunode localnet`: a Solana chain on this machine, and what can be done to it while it runs."""

from __future__ import annotations

import typer

from node.cli.localnet.faucet import faucet
from node.cli.localnet.start import start

group = typer.Typer(help="Run a Solana chain of your own, to try things out.", no_args_is_help=True)
group.command()(start)
group.command()(faucet)
