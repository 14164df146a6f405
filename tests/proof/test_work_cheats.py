"""Provers that cheat, and how often they are found, beside what theory says."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import pytest

from node.gpu.work import hashes
from node.gpu.work.challenge import WorkChallenge
from node.gpu.work.cpu import CpuEngine
from node.gpu.work.document import WorkProof
from node.gpu.work.prover import Worked, open_rows, prove
from node.gpu.work.stream import picks
from node.proof.work import WorkAnchors, verify_work
from node.records import Address
from tests.gpu.work import reference
from tests.gpu.work.examples import AFTER, CHALLENGE, key, proof
from tests.proof.work_cheats import Lazy, cheated

ROUNDS = 4


def blocks(count: int) -> Iterable[tuple[int, str]]:
    """Blocks that could come after an anchor."""
    for number in range(count):
        yield 2000 + number, key(number % 251 + 1)


def work(engine: Lazy, openings: int) -> tuple[Worked, float]:
    """A cheat's rounds, and the share of rows that are really left out."""
    done = prove(engine, CHALLENGE, size=256, rounds=ROUNDS, openings=openings)
    return done, engine.rows_left_out / engine.rows_asked


def found(engine: CpuEngine, done: Worked, after: tuple[int, str]) -> bool:
    verdict = verify_work(open_rows(engine, done, *after).body(), least_openings=1, secret=bytes(32))
    assert verdict.failed in ((), ("work_products",))
    return not verdict.ok


@pytest.mark.parametrize(
    ("share", "openings", "tries"),
    [
        pytest.param(0.01, 64, 200, marks=pytest.mark.long),
        pytest.param(0.05, 16, 200, marks=pytest.mark.long),
        (0.2, 8, 60),
    ],
)
def test_left_out_rows_are_found_as_often_as_theory_says(
    share: float, openings: int, tries: int, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = Lazy(share, seed=openings)
    done, left_out = work(engine, openings)
    assert left_out == pytest.approx(share, rel=0.5)
    measured = sum(found(engine, done, after) for after in blocks(tries)) / tries
    theory = 1 - (1 - left_out) ** openings
    error = math.sqrt(theory * (1 - theory) / tries)
    with capsys.disabled():
        print(
            f"\n  {left_out:.2%} left out, {openings} opened: found {measured:.1%}, theory {theory:.1%} ± {error:.1%}"
        )
    # The blocks are always the same ones, and so is the outcome: this cannot fail by chance.
    assert abs(measured - theory) < 3.5 * error


def test_one_percent_is_found_with_the_default_number_of_openings() -> None:
    engine = Lazy(0.01)
    done, left_out = work(engine, 1024)
    assert (1 - left_out) ** 1024 < 1e-3
    assert all(found(engine, done, after) for after in blocks(5))


def test_grinding_the_root_gains_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The root hangs on what the prover states too, so roots cost nothing to try. Were the rows to follow from the root
    (and from blocks known when it is made), a few tries would find one that passes; the block after the anchor
    makes them all alike."""
    engine = Lazy(0.1)
    done, left_out = work(engine, 16)
    known = (1999, key(77))
    ground, tries = done, 0
    while not all_good(ground, known):
        tries += 1
        stated = replace(done.stated, milliseconds=tries)
        root = hashes.final_root(done.states[-1], ROUNDS, 256, 16, stated.document())
        ground = replace(done, stated=stated, root=root)
    assert not found(engine, ground, known)
    assert tries < 100
    blocks_after = list(blocks(100))
    measured = sum(found(engine, ground, after) for after in blocks_after) / len(blocks_after)
    theory = 1 - (1 - left_out) ** 16
    with capsys.disabled():
        print(f"\n  a root found in {tries} tries: afterwards found {measured:.1%}, theory {theory:.1%}")
    assert abs(measured - theory) < 3.5 * math.sqrt(theory * (1 - theory) / len(blocks_after))


def all_good(done: Worked, after: tuple[int, str]) -> bool:
    """Whether a cheat with this share would pass; it knows its own rows."""
    engine = Lazy(0.1)
    engine.begin(hashes.key_b(done.seed, 256), done.states[0], 256)
    body = open_rows(engine, done, *after).body()
    return verify_work(body, least_openings=1, secret=bytes(32)).ok


def anchors_of(made: WorkProof, challenge: WorkChallenge) -> WorkAnchors:
    """The chain when this proof was anchored honestly for a challenge."""
    return WorkAnchors(
        node=Address(challenge.node),
        root=made.root.hex(),
        seed_blockhash=challenge.blockhash,
        seed_time=100,
        anchor_slot=1041,
        anchor_time=120,
        after_slot=AFTER[0],
        after_blockhash=AFTER[1],
    )


def test_a_seed_that_is_used_again_shows_its_age() -> None:
    """The old work can be anchored again; but it is counted from its own seed's block."""
    made = proof()
    later = replace(anchors_of(made, CHALLENGE), anchor_time=100 + 86_400)
    verdict = verify_work(made.body(), anchors=later, least_openings=32)
    assert verdict.ok
    assert verdict.rate == made.operations / 86_400
    # And it cannot be passed off as made for a newer block.
    newer = replace(anchors_of(made, CHALLENGE), seed_blockhash=key(200), seed_time=86_390)
    assert verify_work(made.body(), anchors=newer, least_openings=32).failed == ("work_seed_block",)


OTHERS = {
    "node": replace(CHALLENGE, node=key(50)),
    "gpu": replace(CHALLENGE, gpu="GPU-00000000-0000-0000-0000-000000000000"),
    "blockhash": replace(CHALLENGE, blockhash=key(51)),
    "slot": replace(CHALLENGE, slot=1001),
    "purpose": replace(CHALLENGE, purpose="demo"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_proof_for_another_challenge_is_no_proof_for_this_one(what: str) -> None:
    made = cheated(CpuEngine(), rounds=2, openings=32, challenge=OTHERS[what])
    assert verify_work(made.body(), least_openings=32).ok
    verdict = verify_work(
        made.body(),
        node=Address(CHALLENGE.node),
        gpu=CHALLENGE.gpu,
        anchors=anchors_of(made, CHALLENGE),
        least_openings=32,
    )
    expected = {
        "node": ("work_node", "work_anchor"),
        "gpu": ("work_gpu",),
        "blockhash": ("work_seed_block",),
        "slot": (),
        "purpose": (),
    }
    # Slot and purpose name no party: they are bound, and shown to whoever asks for certain ones.
    assert verdict.failed == expected[what]
    relabelled = replace(made, challenge=CHALLENGE)
    assert verify_work(relabelled.body(), least_openings=32).failed[0] == "work_challenge"


@pytest.mark.parametrize("what", OTHERS)
def test_work_for_another_challenge_does_not_fit_when_all_hashes_are_made_anew(what: str) -> None:
    """The cheat keeps the products of another challenge's round, and derives everything else afresh."""
    other = prove(CpuEngine(), OTHERS[what], size=256, rounds=1, openings=32)
    seed = hashes.seed_of(CHALLENGE)
    first = hashes.first_state(seed, 256)
    state = hashes.next_state(first, 1, other.kept[0].root)
    root = hashes.final_root(state, 1, 256, 32, other.stated.document())
    forged = replace(other, challenge=CHALLENGE, seed=seed, root=root)
    engine = CpuEngine()
    engine.begin(hashes.key_b(other.seed, 256), other.states[0], 256)
    made = replace(open_rows(engine, forged, *AFTER), state=state)
    assert verify_work(made.body(), least_openings=32).failed == ("work_products",)
    assert reference.check(made.body()) == "products"


def test_rows_of_another_proof_are_not_in_this_ones_trees() -> None:
    other = cheated(CpuEngine(), rounds=3, openings=32, challenge=OTHERS["slot"])
    mixed = replace(proof(), opened=other.opened)
    assert verify_work(mixed.body(), least_openings=32).failed == ("work_rows", "work_products")


def test_rows_that_suit_better_than_those_picked_are_refused() -> None:
    """Good rows from the right trees, and not the ones that the block asks for."""
    elsewhere = open_rows_at(7)
    assert verify_work(elsewhere.body(), least_openings=32).ok
    moved = replace(elsewhere, after_slot=AFTER[0], after_blockhash=AFTER[1])
    assert verify_work(moved.body(), least_openings=32).failed[0] == "work_rows"


def open_rows_at(number: int) -> WorkProof:
    engine = CpuEngine()
    done = prove(engine, CHALLENGE, size=256, rounds=2, openings=32)
    return open_rows(engine, done, 3000, key(number))


def test_a_slow_answer_is_a_small_rate() -> None:
    made = proof()
    rates = [
        verify_work(
            made.body(), anchors=replace(anchors_of(made, CHALLENGE), anchor_time=100 + seconds), least_openings=32
        ).rate
        for seconds in (10, 100, 1000)
    ]
    assert rates == [made.operations / seconds for seconds in (10, 100, 1000)]


def test_more_anchors_are_more_chances_and_it_says_so() -> None:
    made = proof()
    many = replace(anchors_of(made, CHALLENGE), tries=12)
    detail = next(
        each.detail
        for each in verify_work(made.body(), anchors=many, least_openings=32).checks
        if each.name == "work_rate"
    )
    assert "12 anchors" in detail


def test_no_round_is_left_out_while_there_are_openings_enough() -> None:
    wanted = picks(bytes(32), 1, key(1), size=256, rounds=7, openings=24)
    counts = [sum(1 for pick in wanted if pick[0] == round_) for round_ in range(1, 8)]
    assert min(counts) >= 3
    wanted = picks(bytes(32), 1, key(1), size=512, rounds=5000, openings=1024)
    assert len({pick[0] for pick in wanted}) > 850
    assert all(1 <= round_ <= 5000 and 0 <= row < 512 and 0 <= stretch < 2 for round_, row, stretch in wanted)
