"""Look-around at the ends of a regex, which a linear-time engine has none of: `(?<=key: ).*` and `.*(?= ms)`.

Elsewhere it stays unsupported. At the ends it is the same as matching all of it and taking the part in the middle:
what is looked for behind has one length only, so that the leftmost whole has the leftmost middle; and nothing follows
what is looked for ahead.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_ONE_CHARACTER = frozenset(("u", "x", "control", "dot", "any"))
_NO_LENGTH_KNOWN = frozenset("*+?{|()")


def split(tokens: Sequence[re.Match[str]]) -> tuple[str, str, str] | None:
    """What must come before, the part that is the match, and what must follow; None where there is nothing of it, or
    nothing that can be taken apart so. Tokens have groups `group` (of a bracket with a question mark), `open`, `close`,
    `other` and those of single characters."""
    depths = _depths(tokens)
    if not tokens or depths[-1] != 0 or min(depths) < 0:
        return None
    first = str(tokens[0].group("group") or "")
    begin = _end_of(tokens, 0) + 1 if first == "?<=" else 0
    end = _start_of_last(tokens)
    behind, middle, ahead = tokens[1 : begin - 1] if begin else (), tokens[begin:end], tokens[end + 1 : -1]
    if not (begin or end < len(tokens)) or begin > end:
        return None
    if not _has_one_length(behind) or _has_alternatives(middle):
        return None
    return _text(behind), _text(middle), _text(ahead)


def _text(tokens: Sequence[re.Match[str]]) -> str:
    return "".join(token.group() for token in tokens)


def _depths(tokens: Sequence[re.Match[str]]) -> list[int]:
    """How many groups are open after each token; classes count as one more."""
    depths, depth, in_class = [], 0, False
    for token in tokens:
        kind, text = token.lastgroup, token.group()
        if in_class:
            in_class = kind != "close"
            depth -= not in_class
        elif kind == "open":
            in_class, depth = True, depth + 1
        elif kind == "group" or (kind == "other" and text == "("):
            depth += 1
        elif kind == "other" and text == ")":
            depth -= 1
        depths.append(depth)
    return depths


def _end_of(tokens: Sequence[re.Match[str]], start: int) -> int:
    """Where the group that begins at `start`, at no depth, ends."""
    depths = _depths(tokens)
    return next((at for at in range(start, len(tokens)) if depths[at] == 0), len(tokens) - 1)


def _start_of_last(tokens: Sequence[re.Match[str]]) -> int:
    """Where a group that looks ahead begins, if all ends with one; else past the end."""
    depths = _depths(tokens)
    for at, token in enumerate(tokens):
        outside = at == 0 or depths[at - 1] == 0
        if outside and depths[at] == 1 and token.group("group") == "?=" and _end_of(tokens, at) == len(tokens) - 1:
            return at
    return len(tokens)


def _has_one_length(tokens: Sequence[re.Match[str]]) -> bool:
    """Whether these are characters and classes one after another."""
    in_class = False
    for token in tokens:
        kind, text = token.lastgroup, token.group()
        if in_class:
            in_class = kind != "close"
        elif kind == "open":
            in_class = True
        elif not (kind in _ONE_CHARACTER or kind == "escape" or (kind == "other" and text not in _NO_LENGTH_KNOWN)):
            return False
    return not in_class


def _has_alternatives(tokens: Sequence[re.Match[str]]) -> bool:
    depths = _depths(tokens)
    return any(
        token.lastgroup == "other" and token.group() == "|" and depths[at] == 0 for at, token in enumerate(tokens)
    )
