"""Options that the localnet's commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_RPC = "http://127.0.0.1:8899"
LocalnetOption = Annotated[str, typer.Option("--rpc", metavar="URL", help="The localnet.")]

IdsOption = Annotated[
    str, typer.Option("--ids", metavar="NAME", help="Which of the network's program addresses: devnet or mainnet.")
]
EmptyOption = Annotated[
    bool,
    typer.Option("--empty", help="Programs, their interfaces and the faucet only: no NOS mint, no market, no wallets."),
]
ProgramOption = Annotated[
    list[str] | None,
    typer.Option(
        "--program",
        metavar="ADDRESS=FILE",
        help="Deploy a compiled program (.so), also in place of one of the network's. May be given again.",
        show_default=False,
    ),
]
AccountOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--account",
        metavar="FILE",
        help="Put an account in place when the chain is made: JSON as `solana account --output json` writes it, or a "
        "folder of such files. May be given again.",
        show_default=False,
    ),
]
