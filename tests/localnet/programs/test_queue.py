"""The queue of a market: order, its end, and what is left behind."""

from __future__ import annotations

from solders.pubkey import Pubkey

from .harness import UNITS_ALLOWED
from .market_scene import DEFINITION, EMPTY, JOBS, NODES, TIMEOUT, Scene

TYPE, LENGTH, ENTRIES = 146, 147, 151
LIMIT = 314


def fill(scene: Scene, kind: int, keys: list[Pubkey]) -> None:
    head = bytes([kind]) + len(keys).to_bytes(4, "little")
    scene.world.poke(scene.market, TYPE, head + b"".join(map(bytes, keys)))


def test_the_last_free_entry_and_one_more_job() -> None:
    scene = Scene()
    waiting = [Pubkey.new_unique() for _ in range(LIMIT - 1)]
    fill(scene, JOBS, waiting)
    job = scene.post()
    assert scene.queue() == (JOBS, [*waiting, job])
    outcome = scene.attempt("list", DEFINITION, TIMEOUT, job=scene.world.key(), run=scene.world.key()).send()
    assert (outcome.name, outcome.origin) == ("AccountDidNotSerialize", "market")
    assert "Error Number: 3004." in outcome.line
    assert "Custom(3004)" in outcome.error


def test_the_last_free_entry_and_one_more_node() -> None:
    scene = Scene()
    waiting = [Pubkey.new_unique() for _ in range(LIMIT - 1)]
    fill(scene, NODES, waiting)
    scene.work()
    assert scene.queue() == (NODES, [*waiting, scene.node])
    second = scene.new_node()
    attempt = scene.attempt("work", authority=second, payer=second, stake=scene.world.stake(second))
    attempt.accounts["run"] = scene.world.key()
    outcome = attempt.send()
    assert (outcome.name, outcome.origin) == ("AccountDidNotSerialize", "market")


def test_a_full_queue_is_noticed_after_the_transfer() -> None:
    scene = Scene()
    fill(scene, JOBS, [Pubkey.new_unique() for _ in range(LIMIT)])
    scene.world.put_tokens(scene.world.nos(scene.poster), scene.poster, 1)
    outcome = scene.attempt("list", DEFINITION, TIMEOUT).send()
    assert outcome.line == ""
    assert any("insufficient funds" in log for log in outcome.logs)


def test_a_full_queue_still_serves() -> None:
    scene = Scene()
    waiting = [Pubkey.new_unique() for _ in range(LIMIT)]
    fill(scene, JOBS, waiting)
    run = scene.work()
    assert scene.world.data(run)[8:40] == bytes(waiting[0])
    assert scene.queue() == (JOBS, waiting[1:])


def test_the_worst_search_costs_little() -> None:
    scene = Scene()
    waiting = [Pubkey.new_unique() for _ in range(LIMIT - 1)]
    fill(scene, NODES, [*waiting, scene.node])
    outcome = scene.expect(scene.attempt("assign", DEFINITION, TIMEOUT))
    print(f"jobs.assign with a full queue: {outcome.units} compute units")
    assert outcome.units < UNITS_ALLOWED
    assert scene.queue() == (NODES, waiting)


def test_bytes_behind_the_last_entry_are_not_cleared() -> None:
    scene = Scene()
    first, second, third = scene.post(), scene.post(), scene.post()
    scene.work()
    data = scene.world.data(scene.market)
    assert data[LENGTH:ENTRIES] == (2).to_bytes(4, "little")
    assert data[ENTRIES : ENTRIES + 96] == bytes(second) + bytes(third) + bytes(third)
    scene.work()
    scene.work()
    data = scene.world.data(scene.market)
    assert scene.queue() == (EMPTY, [])
    assert data[ENTRIES : ENTRIES + 96] == bytes(third) * 3
    assert first not in (second, third)


def test_type_255_queues_nothing() -> None:
    scene = Scene(job_type=255)
    scene.work()
    assert scene.queue() == (EMPTY, [])
    job = scene.post()
    assert scene.queue() == (EMPTY, [])
    assert scene.world.data(job)[72:104] == bytes(scene.market)
    assert scene.tokens()[2] == scene.price * TIMEOUT


def test_type_255_still_empties_the_opposite_queue() -> None:
    scene = Scene(job_type=255)
    waiting = Pubkey.new_unique()
    fill(scene, JOBS, [waiting])
    assert scene.world.data(scene.work())[8:40] == bytes(waiting)
    fill(scene, NODES, [waiting])
    scene.post()
    assert scene.world.data(scene.run)[40:72] == bytes(waiting)
