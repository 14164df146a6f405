"""Result regexes: written for JavaScript, run by RE2, whose time is linear in the text whatever the regex.

The syntax is translated token by token. What RE2 cannot do (back-references, look-around but at the ends) is refused
with an error text, as a regex that does not compile is.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import re2

from node.job.lookaround import split

_SPACES = r"\t\n\v\f\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}"
_NOT_LINE_END = r"[^\n\r\x{2028}\x{2029}]"
_KEPT_ESCAPES = frozenset("bBdDSwWfnrtv")
_MESSAGES = {
    "missing )": "Unterminated group",
    "unexpected )": "Unmatched ')'",
    "missing ]": "Unterminated character class",
    "no argument for repetition operator": "Nothing to repeat",
    "bad repetition operator": "Nothing to repeat",
    "trailing \\": "\\ at end of pattern",
    "invalid character class range": "Range out of order in character class",
    "invalid named capture": "Invalid capture group name",
    "invalid repetition size": "numbers out of order in {} quantifier",
    "pattern too large": "Regular expression too large",
}

_TOKEN = re.compile(
    r"""
    \\u(?P<u>[0-9A-Fa-f]{4}) | \\x(?P<x>[0-9A-Fa-f]{2}) | \\c(?P<control>[A-Za-z])
    | \\(?P<escape>.) | (?P<trailing>\\\Z)
    | \((?P<group>\?(?:<(?![=!])[^>]*>|<?[=!]|:|.?))
    | (?P<any>\[\^\]) | (?P<none>\[\]) | (?P<open>\[\^?) | (?P<close>\]) | (?P<dot>\.) | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


MOST_WORK = 100_000_000
"""Steps for one line at most, the regex' size times the line's bytes: two to three seconds in the worst case."""
LINE_SECONDS = 5.0
"""A line that took longer, on a slow or busy host, is the last that its regex is tried on."""


class BadPattern(Exception):
    """A regex that does not compile, or takes too long; the text is what a result holds instead of matches."""


class Pattern:
    """A compiled result regex. Raises BadPattern."""

    def __init__(self, source: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._slow = False
        # The network reads a lone star as "any number of slashes", which is how its results come to be empty texts.
        source = "/*" if source == "*" else source
        parts = split(tuple(_TOKEN.finditer(source)))
        self._middle = 0 if parts is None else 1
        options = re2.Options()
        options.log_errors = False
        try:
            whole = _translate(source) if parts is None else _in_one(*parts)
            self._compiled: Any = re2.compile(whole, options)
        except re2.error as error:
            raise _bad(source, _message(error)) from None
        except UnicodeError:
            raise _bad(source, "Invalid character") from None

    def first(self, text: str) -> list[str | None] | None:
        """The first match and its groups, None for a group that took no part; None without a match.

        Takes at most a few seconds, whatever regex and text; not for an event loop. Raises BadPattern for a line so
        long, or a regex so large, that it would take longer.
        """
        if self._compiled.programsize * len(text.encode("utf-8", "surrogatepass")) > MOST_WORK:
            raise BadPattern(f"Error: the regular expression is too large for a line of {len(text)} characters")
        if self._slow:
            raise BadPattern("Error: the regular expression took too long for a line")
        began = self._clock()
        match = self._compiled.search(text)
        self._slow = self._clock() - began > LINE_SECONDS
        return None if match is None else [match.group(0), *match.groups()][self._middle :]


def _bad(source: str, reason: str) -> BadPattern:
    return BadPattern(f"SyntaxError: Invalid regular expression: /{source}/: {reason}")


def _message(error: Exception) -> str:
    said = error.args[0] if error.args else b""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return next((ours for theirs, ours in _MESSAGES.items() if text.startswith(theirs)), text)


def _in_one(behind: str, middle: str, ahead: str) -> str:
    # A group in a group: what begins with a question mark must not become another kind of group.
    return f"{_translate(behind)}((?:{_translate(middle)})){_translate(ahead)}"


def _translate(source: str) -> str:
    out: list[str] = []
    in_class = False
    for token in _TOKEN.finditer(source):
        kind, text = str(token.lastgroup), token.group()
        if kind in ("u", "x", "control"):
            out.append(_code_point(kind, str(token.group(kind))))
        elif kind == "escape":
            out.append(_escape(source, str(token.group(kind)), in_class))
        elif kind == "group":
            out.append(re2.escape(text) if in_class else _group(source, str(token.group(kind))))
        elif in_class:
            in_class = kind != "close"
            out.append("]" if kind == "close" else text.replace("[", "\\["))
        elif kind in ("any", "none"):
            out.append("[\\x{0}-\\x{10ffff}]" if kind == "any" else "[^\\x{0}-\\x{10ffff}]")
        else:
            in_class = kind == "open"
            out.append(_NOT_LINE_END if kind == "dot" else "\\]" if kind == "close" else text)
    return "".join(out)


def _code_point(kind: str, digits: str) -> str:
    number = ord(digits) % 32 if kind == "control" else int(digits, 16)
    # Half a surrogate pair is no character here; it can match nothing that was decoded from UTF-8.
    return "\\x{fffd}" if 0xD800 <= number <= 0xDFFF else f"\\x{{{number:x}}}"


def _escape(source: str, letter: str, in_class: bool) -> str:
    if letter == "s":
        return _SPACES if in_class else f"[{_SPACES}]"
    if letter == "S" and not in_class:
        return f"[^{_SPACES}]"
    if letter == "b" and in_class:
        return "\\x{8}"
    if letter == "0":
        return "\\x{0}"
    if letter in "123456789":
        raise _bad(source, "back-references are not supported by this node")
    if letter in _KEPT_ESCAPES:
        return "\\" + letter
    # Any other escaped letter is that letter; RE2 gives some of them a meaning.
    return letter if letter.isalnum() else re2.escape(letter)


def _group(source: str, head: str) -> str:
    if head == "?:":
        return "(?:"
    if head in ("?=", "?!", "?<=", "?<!"):
        raise _bad(source, "look-around is not supported by this node")
    if head.startswith("?<"):
        return f"(?P{head[1:]}"
    raise _bad(source, "Invalid group")
