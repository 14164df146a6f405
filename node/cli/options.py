"""Options that several commands share, so that they read and mean the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
SettingsOption = Annotated[
    Path | None,
    typer.Option("--settings", metavar="FILE", help="Settings file (also GPUNODE_SETTINGS).", show_default=False),
]
RpcOption = Annotated[
    str | None,
    typer.Option("--rpc", metavar="URL", help="Solana endpoint; default: the settings'.", show_default=False),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster", metavar="NAME", help="localnet, devnet or mainnet; default: the settings'.", show_default=False
    ),
]
IdsOption = Annotated[
    str | None,
    typer.Option(
        "--ids",
        metavar="NAME",
        help="On a localnet: which program addresses it has (devnet, mainnet).",
        show_default=False,
    ),
]
WalletOption = Annotated[
    Path | None,
    typer.Option("--wallet", metavar="FILE", help="Key file; default: the lane's.", show_default=False),
]
LaneOption = Annotated[
    str | None,
    typer.Option("--lane", metavar="NAME", help="Which lane, where there are several.", show_default=False),
]
GatewayOption = Annotated[
    str | None,
    typer.Option(
        "--gateway",
        metavar="URL",
        help="Where CIDs are read, ending in /ipfs/; default: the settings'.",
        show_default=False,
    ),
]
ContentOption = Annotated[
    str | None,
    typer.Option(
        "--content",
        metavar="URL",
        help="IPFS node that definitions go to and results come from; default: the settings'.",
        show_default=False,
    ),
]
EARN = "Earn"
RUNNING = "A running agent"
CHAIN = "Chain and wallet"
JOBS = "Jobs you post"
TRY = "Try it out"
