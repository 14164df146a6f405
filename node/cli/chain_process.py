"""The process that a localnet runs in.

What reads the command line (typer, and pydantic with it) takes 15 MB that a chain never needs again, and cannot be
unloaded. So `gpunode localnet start` ends by becoming this program: same process, same output, smaller.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from node.cli import failure, output

if TYPE_CHECKING:
    from node.localnet.options import LocalnetOptions

_ROOT = Path(__file__).resolve().parents[2]
"""Where the package lies: the new program has to find the same one."""

_FRUGAL = {
    # The C library would keep a pool of memory per thread, and never give it back.
    "MALLOC_ARENA_MAX": "1",
    # Nor would it give back what lies at the end of its pool.
    "MALLOC_TRIM_THRESHOLD_": str(1024 * 1024),
    "MALLOC_TOP_PAD_": "0",
    # The chain opens no TLS connection; the HTTP library would read all certificate authorities when it is loaded.
    "SSL_CERT_FILE": os.devnull,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What was chosen on the command line, in types that JSON has."""

    rpc_port: int
    content_port: int
    state: str | None
    keys: str | None
    ids: str
    empty: bool
    programs: Sequence[str]
    accounts: Sequence[str]
    slot_ms: int
    history: int
    endpoints: int
    faults: str | None
    as_json: bool

    def options(self) -> LocalnetOptions:
        """The chain's options. Raises UsageError, and LocalnetError for faults that are none."""
        from node.cli.chain import birth_options
        from node.localnet.faults.reading import read_faults
        from node.localnet.validator import History

        keys = Path(self.keys) if self.keys else None
        return replace(
            birth_options(self.ids, self.empty, self.programs, [Path(path) for path in self.accounts], keys),
            rpc_port=self.rpc_port,
            content_port=self.content_port,
            state=Path(self.state).expanduser() if self.state else None,
            slot_ms=self.slot_ms,
            history=History(transactions=self.history),
            endpoints=self.endpoints,
            faults=read_faults(self.faults) if self.faults is not None else (),
        )


def become(choices: Choices) -> NoReturn:
    """Replace this process with the chain's."""
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    # -P: whatever lies in the working folder is no part of this program.
    command = [sys.executable, "-P", "-m", __name__, json.dumps(asdict(choices))]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **_FRUGAL})  # noqa: S606


def main() -> int:
    """Run the chain that the first argument describes; the exit status."""
    choices = Choices(**json.loads(sys.argv[1]))
    try:
        _serve(choices)
    except (Exception, KeyboardInterrupt, SystemExit, BaseExceptionGroup) as error:
        return failure.conclude(error, choices.as_json)
    return 0


def _serve(choices: Choices) -> None:
    import asyncio

    from node.localnet.serving import serve

    asyncio.run(serve(choices.options(), _print_line if choices.as_json else _show))


def _print_line(chain: dict[str, Any]) -> None:
    print(json.dumps(chain), flush=True)


def _show(chain: dict[str, Any]) -> None:
    more = chain["endpoints"][1:]
    output.fields(
        (
            ("JSON-RPC", chain["rpc_url"]),
            ("WebSocket", chain["ws_url"]),
            *((f"endpoint {number}", f"{each['rpc_url']}  {each['ws_url']}") for number, each in enumerate(more, 1)),
            ("content", chain["content_url"]),
            ("program ids", chain["ids"]),
            ("NOS mint", chain["mint"]),
            ("market", chain["market"]),
        )
    )
    output.line()
    output.table(
        ("key", "address", "file"),
        [(name, key["address"], key["path"]) for name, key in chain["keys"].items()],
    )
    output.note("ready; Ctrl-C stops the chain")


if __name__ == "__main__":
    sys.exit(main())
