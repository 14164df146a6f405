"""Options that the commands on a running localnet share."""

from __future__ import annotations

from typing import Annotated

import typer

DEFAULT_RPC = "http://127.0.0.1:8899"
LocalnetOption = Annotated[str, typer.Option("--rpc", metavar="URL", help="The localnet.")]
