"""Records for tests."""

from __future__ import annotations

from dataclasses import replace

from node.records import (
    Address,
    Assignment,
    Booking,
    Cid,
    Job,
    JobState,
    LanePhase,
    LaneStatus,
    OutboxRow,
    OutboxState,
    Run,
    Signature,
)

CID = Cid("QmNLei78zWmzUdbeRB3CiUfAizWUrbeeZh5K1rhAQKCh51")


def address(number: int) -> Address:
    """A different address-like text for each number."""
    return Address(f"{number:x}".rjust(4, "A") + "x" * 40)


def assignment(number: int = 1, lane: str = "main", timeout: int = 3600, run_time: int = 1_700_000_000) -> Assignment:
    """The chain gave `lane` job `number`."""
    job = Job(
        address=address(1000 + number),
        definition_cid=CID,
        result_cid=None,
        market=address(1),
        node=Address("11111111111111111111111111111111"),
        payer=address(3),
        price=10,
        project=address(3),
        state=JobState.QUEUED,
        time_end=0,
        time_start=0,
        timeout=timeout,
    )
    run = Run(
        address=address(2000 + number), job=job.address, node=address(2), payer=address(2), state=0, time=run_time
    )
    return Assignment(lane=lane, run=run, job=job, slot=7, blockhash="b" * 44, seen_at=run_time + 0.5)


def lane_status(lane: str = "main") -> LaneStatus:
    """A lane that is checking."""
    return LaneStatus(
        lane=lane, node=address(2), market=address(1), phase=LanePhase.CHECKING, reason="starting", since=5.0
    )


def booking(purpose: str, lamports: int, lane: str = "main", signature: str = "", fee: int = 5000) -> Booking:
    """What a transaction cost; one of its own for each purpose unless a signature is named."""
    return Booking(lane, purpose, Signature(signature or f"of {lane} {purpose}"), lamports, fee, 0)


def outbox_row(key: str = "finish:x", lane: str = "main", attempt: int = 1) -> OutboxRow:
    """A transaction being sent."""
    row = OutboxRow(
        key=key,
        lane=lane,
        kind="finish",
        state=OutboxState.SENDING,
        wire=b"\x00\x01\xff" * 100,
        signature=Signature("s" * 88),
        last_valid_block_height=2**40,
        attempt=1,
        created_at=10.25,
        recipe=b"\x80recipe",
    )
    return replace(row, attempt=attempt)
