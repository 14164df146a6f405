"""Challenges, engines and proofs that tests share."""

from __future__ import annotations

from functools import cache

from node.base58 import b58encode
from node.gpu.work.challenge import WorkChallenge
from node.gpu.work.cpu import CpuEngine
from node.gpu.work.document import WorkProof
from node.gpu.work.prover import Worked, open_rows, prove


def key(number: int) -> str:
    """Some key or blockhash, in base58."""
    return b58encode(bytes([number]) * 32)


CHALLENGE = WorkChallenge(key(1), 1000, key(2), "GPU-5a1c8a5e-8a2f-4f0e-9d63-0e5a4b1c2d3e")
AFTER = (1042, key(3))


@cache
def worked(rounds: int = 3, openings: int = 32, size: int = 256) -> Worked:
    return prove(CpuEngine(), CHALLENGE, size=size, rounds=rounds, openings=openings)


@cache
def proof(rounds: int = 3, openings: int = 32, size: int = 256) -> WorkProof:
    engine = CpuEngine()
    done = prove(engine, CHALLENGE, size=size, rounds=rounds, openings=openings)
    return open_rows(engine, done, *AFTER)
