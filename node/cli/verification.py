"""How a verification is printed: by what its lines are about, with what each label means."""

from __future__ import annotations

from typing import Any

from node.cli import output

PARTS = {
    "chain": "Chain",
    "receipt": "Receipt",
    "result": "Result",
    "receipts": "Receipts before and after it",
    "work": "GPU work",
    "host": "Host card",
}
LABELS = {
    "proven": "proven",
    "consistent": "consistent",
    "stated": "stated by the node",
    "not_checked": "not checked",
}
LEGEND = {
    "proven": "follows from the chain, a hash or a signature",
    "consistent": "two places say the same",
    "stated": "nobody else can know; the node signed it",
    "not_checked": "could not be looked at, for the reason given",
}
_MARGIN = 4 + max(map(len, LABELS.values()))


def show(known: dict[str, Any], closing: str) -> None:
    """One line a check: outcome, what it is worth, what was seen; then what the labels mean, and `closing`."""
    strangers = {check["part"]: check["part"].capitalize() for check in known["checks"]}
    for part, title in {**strangers, **PARTS}.items():
        checks = [check for check in known["checks"] if check["part"] == part]
        if checks:
            output.heading(title)
        for check in checks:
            start = f"  {output.mark(check['ok'])} {LABELS[check['label']]:<{_MARGIN - 4}} "
            output.wrapped(start, f"{check['name']}: {check['detail']}", _MARGIN + 1)
    output.line()
    for label in (each for each in LABELS if any(check["label"] == each for check in known["checks"])):
        output.line(f"{LABELS[label]}: {LEGEND[label]}")
    output.line()
    for text in closing.split("\n"):
        output.line(text)
