"""The program `nft`: what is loaded into the kernel's packet filter, and what it says is there."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

from node.container.egress.ruleset import FAMILY
from node.errors import FilterError

SECONDS = 10.0
_PLACES = "/usr/sbin:/sbin"
_RIGHTS = (
    "run the agent as root or give it CAP_NET_ADMIN (AmbientCapabilities in its service); on a machine that runs "
    "nobody else's jobs, network.filter: off"
)


@dataclass(frozen=True, slots=True)
class Nft:
    """`nft` in the network namespace of this process. Calls block for some milliseconds."""

    def load(self, script: str) -> None:
        """Load a script, all of it or nothing. Raises FilterError."""
        self._run("-f", "-", text=script)

    def listing(self, table: str) -> str | None:
        """The table as the kernel has it, without the elements of named sets; None where there is none.
        Raises FilterError."""
        if not any(line.split() == ["table", FAMILY, table] for line in self._run("list", "tables").splitlines()):
            return None
        try:
            return self._run("--terse", "list", "table", FAMILY, table)
        except FilterError:
            if table not in self._run("list", "tables"):
                return None  # removed in between
            raise

    def tables(self) -> tuple[str, ...]:
        """The names of all tables of our family. Raises FilterError."""
        rows = (line.split() for line in self._run("list", "tables").splitlines())
        return tuple(row[2] for row in rows if row[:2] == ["table", FAMILY])

    def _run(self, *words: str, text: str | None = None) -> str:
        program = shutil.which("nft", path=f"{os.environ.get('PATH', '')}:{_PLACES}")
        if program is None:
            raise FilterError("there is no `nft` on this host", hint="install it: sudo apt-get install nftables")
        environment = {"LC_ALL": "C", "PATH": _PLACES}
        try:
            done = subprocess.run(
                (program, *words),
                input=text,
                stdin=None if text is not None else subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=SECONDS,
                env=environment,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise FilterError(f"`nft` cannot be run: {error}", hint="run `nft list tables` by hand") from None
        if done.returncode == 0:
            return done.stdout
        said = " ".join((done.stderr or done.stdout).split())[:300]
        if "Operation not permitted" in said or "must be root" in said:
            raise FilterError("this user may not see or change the packet filter", hint=_RIGHTS)
        raise FilterError(f"`nft` refuses: {said}", hint="run `gpunode firewall show | nft -c -f -` to see why")
