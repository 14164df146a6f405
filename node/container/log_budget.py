"""The bytes of log that one job may keep, all its operations together."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class LogBudget:
    """One job's. Keepers in several threads spend from it; a race costs an entry more or less."""

    def __init__(self, limit: int, kept: Iterable[Path] = ()) -> None:
        """`kept`: log files of the job that are there already; one that is opened again is counted anew."""
        self.limit = limit
        self._spent = {path: _size(path) for path in kept}

    def most(self, path: Path) -> int:
        """How many bytes this log may have in all, as the others are now."""
        return self.limit - sum(spent for other, spent in list(self._spent.items()) if other != path)

    def spend(self, path: Path, spent: int) -> None:
        """This log has so many now."""
        self._spent[path] = spent


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
