"""The packet filter as it is, against what it should be.

The kernel gives rules back in words that depend on its version and on `nft`'s. So what should be there is loaded too,
as a dormant table that no packet meets, read back, and removed again: the two listings must be equal, word for word.
They are compared as text, because the JSON form leaves a table's flags out: one that somebody made dormant would pass.
"""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from node.container.egress.nft import Nft
from node.container.egress.ruleset import FAMILY, TABLE, Rules
from node.errors import FilterError
from node.marks import Mark, marked

log = logging.getLogger(__name__)

_TWIN = f"{TABLE}_twin_"


class Presence(StrEnum):
    """How the table stands."""

    PRESENT = "present"
    MISSING = "missing"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Standing:
    """What a look at the table saw."""

    presence: Presence
    detail: str = ""
    """Where it is different: the first line that is."""

    @property
    def reason(self) -> str:
        """The same as one sentence."""
        match self.presence:
            case Presence.PRESENT:
                return "the packet filter is in place"
            case Presence.MISSING:
                return f"the packet filter's table {FAMILY} {TABLE} is not loaded"
            case Presence.DIFFERENT:
                return f"the packet filter's table {FAMILY} {TABLE} is not as it should be ({self.detail})"


class Firewall:
    """Our table in the packet filter; other tables are never touched. Calls block for some milliseconds."""

    def __init__(self, rules: Callable[[], Rules], nft: Nft | None = None) -> None:
        """`rules`: what is wanted now; may raise FilterError."""
        self._rules = rules
        self._nft = nft or Nft()
        self._wanted: tuple[str, tuple[str, ...]] | None = None

    def check(self) -> Standing:
        """How the table in the kernel stands. Raises FilterError where that cannot be seen."""
        listing = self._nft.listing(TABLE)
        if listing is None:
            return Standing(Presence.MISSING)
        wanted, live = self._reference(self._rules()), _lines(listing)
        if live == wanted:
            return Standing(Presence.PRESENT)
        return Standing(Presence.DIFFERENT, _difference(wanted, live))

    def install(self) -> Standing:
        """See that the table is in place: how it stood before. One that is as it should be is left alone.

        Raises FilterError where it cannot be loaded, and where what was loaded is not what the kernel then shows.
        """
        before = self.check()
        if before.presence is Presence.PRESENT:
            return before
        with marked(Mark.FILTER_LOAD):
            self._nft.load(self._rules().script())
        after = self.check()
        if after.presence is not Presence.PRESENT:
            raise FilterError(
                f"{after.reason}, although it was loaded just now", hint="see what else manages the packet filter here"
            )
        return before

    def remove(self) -> bool:
        """Take the table away, and what an interrupted check has left; False where there was none."""
        found = [name for name in self._nft.tables() if name == TABLE or name.startswith(_TWIN)]
        self._nft.load("".join(f"delete table {FAMILY} {name}\n" for name in found))
        return TABLE in found

    def _reference(self, rules: Rules) -> tuple[str, ...]:
        """How the kernel shows these rules."""
        digest = rules.digest
        if self._wanted is None or self._wanted[0] != digest:
            twin = f"{_TWIN}{os.getpid()}"
            fresh = f"add table {FAMILY} {twin}\ndelete table {FAMILY} {twin}\n"
            self._nft.load(fresh + rules.table(twin, flags="dormant"))
            try:
                listing = self._nft.listing(twin)
            finally:
                self._nft.load(f"delete table {FAMILY} {twin}\n")
            if listing is None:
                raise FilterError("the packet filter forgets what is loaded", hint="see what else manages it here")
            plain = listing.replace(twin, TABLE).replace("\tflags dormant\n", "", 1)
            self._wanted = digest, _lines(plain)
        return self._wanted[1]


def _lines(listing: str) -> tuple[str, ...]:
    # Where `nft` leaves lines empty depends on whether a table has flags.
    return tuple(line.strip() for line in listing.splitlines() if line.strip())


def _difference(wanted: Sequence[str], live: Sequence[str]) -> str:
    lines = [line for line in difflib.ndiff(wanted, live) if line[0] in "+-" and f'comment "{TABLE} ' not in line]
    gone = next((line[2:] for line in lines if line[0] == "-"), "")
    if gone:
        return f"missing: {gone}"
    return f"added: {lines[0][2:]}" if lines else "rules for other settings"
