"""A run of many cases against one target, led by the lines of the product that they reach."""

from __future__ import annotations

import resource
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from types import CodeType, FrameType
from typing import Any

from tests.fuzz.mutation import Mutator
from tests.fuzz.target import Target, TooSlow

CORPUS_MOST = 2000
GROWTH_LIMIT = 512 * 1024
"""KiB by which this process may grow over a whole campaign."""
TRACED_SHARE = 4
"""One case in so many is traced: tracing costs several times what most cases do."""


@dataclass
class Report:
    """What a campaign came to."""

    target: str
    cases: int = 0
    refused: int = 0
    seconds: float = 0.0
    lines: int = 0
    """Lines of the product that were reached."""
    corpus: int = 0
    findings: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    """Place -> the smallest case that leads there, and the traceback."""

    def line(self) -> str:
        """One line for people."""
        return (
            f"{self.target:<14} {self.cases:>8} cases {self.cases / max(self.seconds, 1e-9):>8.0f}/s "
            f"{self.refused / max(self.cases, 1):>5.0%} refused {self.lines:>5} lines {self.corpus:>5} in corpus "
            f"{len(self.findings)} findings"
        )


def run(target: Target, cases: int, seed: int, told: Callable[[str], None] = lambda _line: None) -> Report:
    """Feed a target so many cases; the same seed feeds the same ones on the same code."""
    mutator, report = Mutator(Random(f"{target.name}/{seed}")), Report(target.name)
    corpus = list(target.seeds())
    reached: set[tuple[CodeType, int]] = set()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.monotonic()
    for number in range(cases):
        case = corpus[number] if number < len(corpus) else mutator.case(corpus)
        lines: set[tuple[CodeType, int]] = set()
        try:
            if number % TRACED_SHARE == 0:
                with _Tracing(lines):
                    report.refused += target.refuses(case)
            else:
                report.refused += target.refuses(case)
        except (Exception, TooSlow) as error:
            _note(report, case, error, told)
        report.cases += 1
        if not lines <= reached:
            reached |= lines
            if len(corpus) < CORPUS_MOST:
                corpus.append(case)
    report.seconds = time.monotonic() - begin
    report.lines, report.corpus = len(reached), len(corpus)
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if growth > GROWTH_LIMIT:
        report.findings["memory"] = (b"", f"the process grew by {growth} KiB")
    return report


def _note(report: Report, case: bytes, error: BaseException, told: Callable[[str], None]) -> None:
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if "/node/" in frame.filename] or frames
    place = f"{type(error).__name__} at {inside[-1].filename.rpartition('/node/')[2]}:{inside[-1].lineno}"
    known = report.findings.get(place)
    if known is None:
        told(f"{report.target}: {place}: {str(error)[:200]}\n    case {case[:400]!r}")
    if known is None or len(case) < len(known[0]):
        report.findings[place] = (case, "".join(traceback.format_exception(error))[-4000:])


class _Tracing:
    def __init__(self, lines: set[tuple[CodeType, int]]) -> None:
        self._lines = lines

    def __enter__(self) -> None:
        sys.settrace(self._call)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _call(self, frame: FrameType, event: str, value: Any) -> Any:
        return self._line if "/node/" in frame.f_code.co_filename else None

    def _line(self, frame: FrameType, event: str, value: Any) -> Any:
        self._lines.add((frame.f_code, frame.f_lineno))
        return self._line
