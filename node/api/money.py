"""Money of a journal on its way over the control socket."""

from __future__ import annotations

from typing import Any

from node.api.documents import Document, plain
from node.errors import ControlError
from node.journal.money import JobMoney, Money, Spent
from node.records import Address, EndCause, PaySource, SettleKind


def money_document(money: Money) -> Document:
    """`jobs` and `spent`, with the fields of the records."""
    return dict(plain(money))


def parse_money(document: Document) -> Money:
    """The inverse of `money_document`. Raises ControlError: an agent of another version may say other things."""
    try:
        return Money(
            tuple(_job(each) for each in document["jobs"]),
            tuple(Spent(**each) for each in document["spent"]),
            float(document["began"]),
        )
    except (LookupError, ValueError, TypeError, AttributeError):
        raise ControlError(
            "the running agent tells of its earnings otherwise than this command reads them",
            hint="restart the agent, so that both are of one version",
        ) from None


def _job(known: dict[str, Any]) -> JobMoney:
    typed = {
        "run": Address(known["run"]),
        "kind": SettleKind(known["kind"]),
        "cause": None if known["cause"] is None else EndCause(known["cause"]),
        "pay_source": PaySource(known["pay_source"]),
        "gpus": tuple(known["gpus"]),
    }
    return JobMoney(**{**known, **typed})
