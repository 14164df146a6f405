"""Recording, cutting and packing, without a node: what shares a chain, and that a difference is one."""

from __future__ import annotations

from dataclasses import replace

from solders.message import Message
from solders.pubkey import Pubkey

from tests.localnet.programs.harness import START, SYSTEM, TOKEN
from tests.localnet.programs.holder_scene import DAY, DURATION, Holder
from tests.realchain.packing import choose, pack
from tests.realchain.recorder import RecordingMachine
from tests.realchain.recording import Held, Program, Recording, Step, segments
from tests.realchain.replay import Landed, Report


def recorded() -> tuple[Holder, list[Step]]:
    """A holder whose transactions are written down from now on."""
    holder = Holder()
    machine = RecordingMachine(holder.world.svm, holder.world)
    holder.world.svm = machine  # type: ignore[assignment]
    return holder, machine._steps


def test_what_follows_from_itself_is_one_segment() -> None:
    holder, steps = recorded()
    holder.lock()
    holder.do("staking", "topup", 5)
    (segment,) = segments(steps)
    assert len(segment.steps) == 2
    assert segment.unix_time == START
    assert segment.genesis[bytes(holder.stake)] is None
    assert isinstance(segment.genesis[bytes(holder.world.programs["staking"])], Program)
    assert bytes(holder.stake) in segment.changed
    assert [len(wave) for wave in segment.waves()] == [1, 1]


def test_whoever_only_pays_stands_apart() -> None:
    holder, steps = recorded()
    holder.lock()
    (segment,) = segments(steps)
    assert set(segment.payers) == {bytes(holder.world.fees)}
    assert bytes(holder.wallet) in segment.genesis


def test_a_hand_and_a_clock_cut() -> None:
    holder, steps = recorded()
    holder.lock()
    holder.world.poke(holder.stake, 16, bytes(Pubkey.new_unique()))
    assert not holder.attempt("staking", "topup", 5).send().ok
    holder.pass_time(DAY)
    assert not holder.attempt("staking", "topup", 5).send().ok
    first, poked, later = segments(steps)
    assert isinstance(poked.genesis[bytes(holder.stake)], Held)
    assert bytes(holder.stake) not in poked.changed
    assert (first.unix_time, poked.unix_time, later.unix_time) == (START, START, START + DAY)
    assert [len(chain.segments) for chain in pack([first, poked, later])] == [1, 1, 1]


def test_failures_go_together_and_repetitions_do_not() -> None:
    holder, steps = recorded()
    for amount in (0, 1, 0, 2):
        assert not holder.attempt("staking", "topup", amount).send().ok
    (segment,) = segments(steps)
    assert [len(wave) for wave in segment.waves()] == [2, 2]


def test_a_chain_without_the_token_program_is_shared_by_none_that_needs_it() -> None:
    worlds = []
    for _ in range(2):
        holder, steps = recorded()
        if not worlds:
            holder.world.put(TOKEN, SYSTEM, b"")
        assert holder.attempt("staking", "stake", 5, DURATION).send().ok == bool(worlds)
        worlds.append(steps)
    assert len(pack(choose(Recording(worlds), 10))) == 2


def test_strangers_share_a_chain() -> None:
    worlds = []
    for _ in range(2):
        holder, steps = recorded()
        holder.lock()
        worlds.append(steps)
    (chain,) = pack(choose(Recording(worlds), 10))
    assert len(chain.segments) == 2


def test_preparations_are_sent_once() -> None:
    worlds = []
    for _ in range(3):
        holder, steps = recorded()
        holder.lock()
        holder.world.poke(holder.stake, 16, bytes(Pubkey.new_unique()))
        assert not holder.attempt("staking", "topup", 5).send().ok
        worlds.append(steps)
    assert [len(segment.steps) for segment in choose(Recording(worlds), 10)] == [1, 1, 1, 1]


def test_a_message_keeps_its_signers() -> None:
    holder, steps = recorded()
    holder.lock()
    (step,) = steps
    message = Message.from_bytes(step.message)
    assert len(step.seeds) == message.header.num_required_signatures == 2


def test_every_difference_is_reported() -> None:
    holder, steps = recorded()
    holder.lock()
    (step,) = steps
    good = step.result
    for bad, what in (
        (replace(good, units=good.units + 1), ["units"]),
        (replace(good, logs=(*good.logs, "more")), ["logs"]),
        (replace(good, error={"InstructionError": [0, {"Custom": 1}]}), ["error in the test", "error"]),
    ):
        report = Report()
        report.note(step, Landed(bad, 5, START), good, clock_moved=False)
        assert [difference.what for difference in report.differences] == what
    late = Report()
    late.note(step, Landed(replace(good, error="x"), 5, START + 1), replace(good, error="x"), clock_moved=True)
    assert (late.differences, late.late, late.on_time) == ([], [step.test], 0)
