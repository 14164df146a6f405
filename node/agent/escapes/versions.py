"""Versions of upstream releases and of Debian packages, and their order. Pure."""

from __future__ import annotations

import re
from functools import total_ordering

_UPSTREAM = re.compile(r"\s*[vV]?(?:\d+:)?(\d+(?:\.\d+)*)(?:[-~.]?rc[-.]?(\d+))?")
_DIGITS = frozenset("0123456789")
LONGEST = 100
"""Characters of a version that makes sense."""
_FINAL = 1 << 31
"""Orders a release after its candidates."""


@total_ordering
class Version:
    """A release such as 1.17.8, 1.0.0-rc93, 580.159.03; what a packager added to it does not count."""

    def __init__(self, text: str) -> None:
        """Raises ValueError where there is no number to go by."""
        match = _UPSTREAM.match(text) if len(text) <= LONGEST else None
        if match is None:
            raise ValueError(f"{text!r} is no version")
        self.text = text.strip()
        self._numbers = tuple(int(part) for part in match[1].split("."))
        self._candidate = _FINAL if match[2] is None else int(match[2])

    @property
    def branch(self) -> int:
        """The first number."""
        return self._numbers[0]

    def _key(self) -> tuple[tuple[int, ...], int]:
        numbers = self._numbers
        while len(numbers) > 1 and numbers[-1] == 0:
            numbers = numbers[:-1]
        return numbers, self._candidate

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key() == other._key()

    def __lt__(self, other: Version) -> bool:
        return self._key() < other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __str__(self) -> str:
        return self.text


_PACKAGE = re.compile(r"(?:\d+:)?\d[0-9A-Za-z.+~-]*-[0-9A-Za-z.+~]*\d[0-9A-Za-z.+~]*")
_CANDIDATE = re.compile(r"\d+(\.\d+)*-rc[.-]?\d+")


def is_package_version(text: str) -> bool:
    """Whether it has a packager's revision, as Debian and Ubuntu write it: 1.1.5+ds1-1+deb12u1."""
    return len(text) <= LONGEST and bool(_PACKAGE.fullmatch(text)) and not _CANDIDATE.fullmatch(text)


def package_key(text: str) -> tuple[int, list[int], list[int]]:
    """A key that orders Debian package versions (Debian policy, "Version"): epoch, upstream, revision."""
    epoch, colon, rest = text.strip().partition(":")
    if not colon:
        epoch, rest = "0", text.strip()
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "0")
    return int(epoch) if epoch.isdecimal() else 0, _part_key(upstream), _part_key(revision)


def _part_key(text: str) -> list[int]:
    """Runs of other characters and of digits in turn; a tilde before the end, the end before letters, letters before
    the rest."""
    key: list[int] = []
    position = 0
    while position < len(text):
        while position < len(text) and text[position] not in _DIGITS:
            character = text[position]
            key.append(-1 if character == "~" else ord(character) if character.isalpha() else ord(character) + 256)
            position += 1
        key.append(0)
        start = position
        while position < len(text) and text[position] in _DIGITS:
            position += 1
        key.append(int(text[start:position] or "0"))
    # The end: after a tilde, before everything else.
    return [*key, 0, 0]
