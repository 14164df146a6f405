"""Checks and what they are worth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from node.records import Address


class Label(StrEnum):
    """How far a line may be believed."""

    PROVEN = "proven"
    """Follows from the chain, a hash or a signature."""
    CONSISTENT = "consistent"
    """Two independent places say the same."""
    STATED = "stated"
    """The node says so, and nothing more is known."""
    NOT_CHECKED = "not_checked"
    """Could not be looked at; the detail says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a verification. `ok` is None for what was stated or not checked."""

    name: str
    label: Label
    ok: bool | None
    detail: str
    part: str = ""
    """What it is about: `chain`, `receipt`, `result`, `receipts` (those before), `work` or `host`."""


@dataclass(frozen=True, slots=True)
class Verification:
    """All that was looked at for one job."""

    job: Address
    checks: tuple[Check, ...]
    offline: bool = False
    """No chain was asked."""

    @property
    def ok(self) -> bool:
        """Nothing failed, and the receipt was really checked; with a chain, the settle transaction as well."""
        done = {check.name for check in self.checks if check.ok}
        needed = {"receipt_signature"} if self.offline else {"settled", "receipt_signature"}
        return all(check.ok is not False for check in self.checks) and needed <= done

    @property
    def verified(self) -> dict[str, bool | None]:
        """Check to outcome, of those that an outsider can fail; None: not checked."""
        return {check.name: check.ok for check in self.checks if check.label is not Label.STATED}

    def document(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "job": self.job,
            "ok": self.ok,
            "verified": self.verified,
            "checks": [asdict(check) | {"label": check.label.value} for check in self.checks],
        }


@dataclass(slots=True)
class Ledger:
    """Collects checks in order."""

    checks: list[Check] = field(default_factory=list)
    part: str = ""
    """Of the checks that follow."""

    def proven(self, name: str, ok: bool, detail: str) -> bool:
        """A line that follows from chain, hash or signature, if it holds."""
        self.checks.append(Check(name, Label.PROVEN, ok, detail, self.part))
        return ok

    def consistent(self, name: str, ok: bool, detail: str) -> bool:
        """A line on which two places agree, if it holds."""
        self.checks.append(Check(name, Label.CONSISTENT, ok, detail, self.part))
        return ok

    def stated(self, name: str, detail: str) -> None:
        """A line that the node alone vouches for."""
        self.checks.append(Check(name, Label.STATED, None, detail, self.part))

    def skipped(self, name: str, why: str) -> None:
        """A line that could not be looked at."""
        self.checks.append(Check(name, Label.NOT_CHECKED, None, why, self.part))

    def adopt(self, checks: Iterable[Check]) -> None:
        """Lines that another ledger collected."""
        self.checks += [replace(check, part=self.part) for check in checks]
