"""Turns rows of the journal into records."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from node.records import (
    Address,
    Cid,
    EndCause,
    JobSummary,
    JournalEvent,
    LanePhase,
    LaneStatus,
    OutboxRow,
    OutboxState,
    PaySource,
    SettleKind,
    Settlement,
    Signature,
    Stage,
    StageTime,
)


@dataclass(frozen=True, slots=True)
class LaneRow:
    """What the journal keeps of a lane."""

    status: LaneStatus
    """As last shown; position, job and GPUs are not kept."""
    wish: str
    """What the operator asked for: ``, `drain` or `pause`."""
    paused_until: float | None
    """Unix seconds; None with a wish of `pause`: until resumed."""
    queued_since: float | None
    """Unix seconds since when our own `work` put the node into the queue; None: not by us."""


@dataclass(frozen=True, slots=True)
class ReceiptLink:
    """One link of a lane's chain of receipts."""

    run: Address
    lane: str
    seq: int
    """From 1."""
    receipt_cid: Cid
    result_cid: Cid
    settle_signature: Signature | None


LANE_COLUMNS = "name, node, market, phase, reason, since, wish, paused_until, queued_since"


def lane_row(row: tuple[object, ...]) -> LaneRow:
    """A row of LANE_COLUMNS."""
    name, node, market, phase, reason, since, wish, paused_until, queued_since = row
    status = LaneStatus(
        lane=str(name),
        node=Address(str(node)),
        market=Address(str(market)),
        phase=LanePhase(str(phase)),
        reason=str(reason),
        since=_number(since),
    )
    return LaneRow(
        status=status,
        wish=str(wish),
        paused_until=None if paused_until is None else _number(paused_until),
        queued_since=None if queued_since is None else _number(queued_since),
    )


OUTBOX_COLUMNS = (
    "key, lane, kind, state, wire, signature, last_valid_block_height, attempt, created_at, slot, fee, error, recipe"
)


def outbox_values(row: OutboxRow) -> tuple[object, ...]:
    """The values of OUTBOX_COLUMNS."""
    return (
        row.key,
        row.lane,
        row.kind,
        row.state.value,
        row.wire,
        row.signature,
        row.last_valid_block_height,
        row.attempt,
        row.created_at,
        row.slot,
        row.fee,
        row.error,
        row.recipe,
    )


def outbox_row(row: sqlite3.Row) -> OutboxRow:
    """A row of OUTBOX_COLUMNS, read by name."""
    return OutboxRow(
        key=row["key"],
        lane=row["lane"],
        kind=row["kind"],
        state=OutboxState(row["state"]),
        wire=bytes(row["wire"]),
        signature=Signature(row["signature"]),
        last_valid_block_height=row["last_valid_block_height"],
        attempt=row["attempt"],
        created_at=row["created_at"],
        slot=row["slot"],
        fee=row["fee"],
        error=row["error"],
        recipe=bytes(row["recipe"]),
    )


def settlement(row: sqlite3.Row) -> Settlement | None:
    """The settlement columns of a joined job row; None while there is none."""
    if row["settle_kind"] is None:
        return None
    return Settlement(
        job=Address(row["job"]),
        kind=SettleKind(row["settle_kind"]),
        signature=_signature(row["settle_signature"]),
        slot=row["settle_slot"],
        pay=row["pay"],
        payout=None if row["payout"] is None else Address(row["payout"]),
        reason=row["settle_reason"],
        fee=row["settle_fee"],
        source=PaySource(row["settle_source"]),
        returned=row["returned"],
    )


JOB_QUERY = """
SELECT jobs.*, r.receipt_cid, r.result_cid, s.kind AS settle_kind, s.signature AS settle_signature,
       s.slot AS settle_slot, s.pay, s.payout, s.reason AS settle_reason, s.fee AS settle_fee,
       s.source AS settle_source, s.returned
FROM jobs
LEFT JOIN receipts r ON r.run = jobs.run
LEFT JOIN settlements s ON s.run = jobs.run
"""


def job_summary(row: sqlite3.Row, times: Iterable[tuple[str, float]]) -> JobSummary:
    """A row of JOB_QUERY with its stage times in the order entered."""
    return JobSummary(
        run=Address(row["run"]),
        job=Address(row["job"]),
        lane=row["lane"],
        node=Address(row["node"]),
        market=Address(row["market"]),
        poster=Address(row["poster"]),
        definition_cid=Cid(row["definition_cid"]),
        price=row["price"],
        timeout=row["timeout"],
        run_time=row["run_time"],
        stage=Stage(row["stage"]),
        stages=tuple(StageTime(Stage(stage), entered) for stage, entered in times),
        cause=None if row["cause"] is None else EndCause(row["cause"]),
        refusal=row["refusal"],
        result_cid=None if row["result_cid"] is None else Cid(row["result_cid"]),
        receipt_cid=None if row["receipt_cid"] is None else Cid(row["receipt_cid"]),
        settlement=settlement(row),
    )


def receipt_link(row: sqlite3.Row) -> ReceiptLink:
    """A row of the receipts table."""
    return ReceiptLink(
        run=Address(row["run"]),
        lane=row["lane"],
        seq=row["seq"],
        receipt_cid=Cid(row["receipt_cid"]),
        result_cid=Cid(row["result_cid"]),
        settle_signature=_signature(row["settle_signature"]),
    )


def event(row: sqlite3.Row) -> JournalEvent:
    """A row of the events table."""
    return JournalEvent(
        id=row["id"], time=row["time"], lane=row["lane"], job=row["job"], level=row["level"], text=row["text"]
    )


def _signature(value: str | None) -> Signature | None:
    return None if value is None else Signature(value)


def _number(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError("a cell that holds no number")
    return float(value)
