"""Which marks the reference scenarios do not pass, and why."""

from __future__ import annotations

from node.marks import Mark

ELSEWHERE: dict[Mark, str] = {
    Mark.JOURNAL_CREATED: "the first start only: `tests.faults.birth` kills there",
    Mark.JOURNAL_REOPEN: "after a fork only: `tests.faults.forks`",
    Mark.JOURNAL_PRUNE: "removes what is months old, in small transactions of which each may be missing; "
    "tests/journal/test_pruning.py",
    Mark.JOURNAL_IMAGE: "where a registry can be run: scenario `pull`",
    Mark.JOURNAL_GPU: "the state of NVIDIA GPUs before a job; a simulated one has none. tests/agent/test_hygiene.py "
    "ends the agent before and after it",
    Mark.JOURNAL_LADDER: "an operator's word, `gpunode bench gpu`: one row, which is there or is not",
    Mark.CONTENT_DROP: "hourly, of files that nothing names any more; those that stay go an hour later: "
    "tests/agent/test_work_shift.py",
    Mark.ENGINE_PULL: "where a registry can be run: scenario `pull`",
    Mark.FILTER_LOAD: "not on the machine's own packet filter: loaded in one transaction of the kernel's, and seen to "
    "again by every life of the agent; tests/container/test_egress.py",
    Mark.JOURNAL_REVEAL: "confidential jobs only: tests/agent/test_openings.py ends the agent before and after it",
    Mark.TRAVEL_FETCH: "confidential jobs only; asked again until it is kept: tests/agent/test_logistics.py",
    Mark.TRAVEL_HAND_OVER: "confidential jobs only; done again where it is not known to be done: the same tests",
    Mark.ENGINE_REMOVE_IMAGE: "where a registry can be run: scenario `pull`",
    **dict.fromkeys(
        (Mark.RESOURCE_KEEP, Mark.RESOURCE_PIN, Mark.RESOURCE_UNPIN, Mark.RESOURCE_COPY, Mark.RESOURCE_EVICT),
        "needs a server with data: tests/content/resources/test_crashes.py ends the desk before and after each",
    ),
}
"""Everything else is passed by the scenarios of scenes.py, on every machine."""
