"""What a localnet begins with, from what the command line says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from node.errors import UsageError

if TYPE_CHECKING:
    from node.chain.clusters import IdSet
    from node.localnet.options import LocalnetOptions
    from node.records import Address


def id_set(name: str) -> IdSet:
    """The set of program addresses of that name. Raises UsageError."""
    if name not in ("devnet", "mainnet"):
        raise UsageError(f"there is no set of program addresses named {name!r}", hint="use devnet or mainnet")
    return "mainnet" if name == "mainnet" else "devnet"


def birth_options(
    ids: str, empty: bool, programs: Sequence[str] | None, accounts: Sequence[Path] | None, keys: Path | None
) -> LocalnetOptions:
    """What a chain begins with. Raises UsageError."""
    from node.localnet.options import LocalnetOptions

    return LocalnetOptions(
        ids=id_set(ids),
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
