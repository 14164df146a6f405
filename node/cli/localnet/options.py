"""Options that the localnet's commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.errors import UsageError

if TYPE_CHECKING:
    from node.localnet.options import LocalnetOptions
    from node.records import Address

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


def birth_options(
    ids: str, empty: bool, programs: Sequence[str] | None, accounts: Sequence[Path] | None, keys: Path | None
) -> LocalnetOptions:
    """What a chain begins with. Raises UsageError."""
    from node.localnet.options import LocalnetOptions

    if ids not in ("devnet", "mainnet"):
        raise UsageError(f"there is no set of program addresses named {ids!r}", hint="use devnet or mainnet")
    return LocalnetOptions(
        ids="mainnet" if ids == "mainnet" else "devnet",
        empty=empty,
        programs=dict(_program(text) for text in programs or ()),
        accounts=tuple(path.expanduser() for path in accounts or ()),
        keys=keys.expanduser() if keys else None,
    )


def _program(text: str) -> tuple[Address, Path]:
    from node.chain.addresses import to_address, to_key
    from node.errors import ChainError

    address, equals, file = text.partition("=")
    if not equals or not file:
        raise UsageError(f"--program {text!r} names no file", hint="write it as ADDRESS=FILE.so")
    try:
        return to_address(to_key(address)), Path(file).expanduser()
    except ChainError as error:
        raise UsageError(f"--program: {error.message}", hint="write it as ADDRESS=FILE.so") from None
