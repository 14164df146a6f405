"""Whether the GPUs of a lane are fit to take jobs: the rules, and the patience with each.

A failing rule keeps the lane out of the queue; work at hand goes on. Only a lost GPU, and (where the settings say so)
the owner's own use of it, end that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from node.agent.health.gpu_rules import Broken, Heat, Owned, Rule, Shared, Slowed, UsersOf, usable
from node.agent.health.verdict import FAILING, UNKNOWN, WELL, Look, Patience, Verdict
from node.agent.health.watch import Watched
from node.gpu.monitor import GpuMonitor
from node.records import Gpu
from node.retry import Clock
from node.settings import Settings

FITNESS = "gpu fitness"
OWNER = "gpu owner"
FOREVER = float("inf")
AT_ONCE = Patience(failures=1, failures_over=0.0, successes=1, successes_over=0.0, unknown_limit=FOREVER)
HEATED = Patience(failures=3, failures_over=8.0, successes=3, successes_over=30.0, unknown_limit=FOREVER)
CROWDED = Patience(failures=3, failures_over=8.0, successes=3, successes_over=15.0, unknown_limit=FOREVER)
LEFT_ALONE = Patience(failures=2, failures_over=4.0, successes=3, successes_over=60.0, unknown_limit=FOREVER)
"""Of an owner who plays: soon, and not back between two rounds of a game."""


@dataclass(frozen=True, slots=True)
class Strict:
    """A rule, and how much of the same it takes."""

    rule: Rule
    patience: Patience


class FitnessProbe:
    """Several rules over several GPUs, each judged by itself."""

    def __init__(
        self,
        monitor: GpuMonitor,
        wanted: Literal["all"] | Sequence[str],
        rules: Sequence[Strict],
        clock: Clock,
        gone: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`wanted`: the lane's GPUs; `gone` is told the UUID of one that is not there any more."""
        self._gone = gone
        self._there: frozenset[str] = frozenset()
        self._monitor = monitor
        self._wanted = None if wanted == "all" else frozenset(wanted)
        self._rules = tuple(rules)
        self._clock = clock
        self._verdicts: dict[tuple[int, str], Verdict] = {}

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The lane's, as far as they are there: that one is not is another subject."""
        return tuple(gpu for gpu in self._monitor.gpus if self._wanted is None or gpu.uuid in self._wanted)

    async def look(self) -> Look:
        """What is wrong with any of them. Nothing that cannot be seen is wrong."""
        troubles = []
        there = frozenset(gpu.uuid for gpu in self.gpus)
        for uuid in self._there - there:
            self._gone(uuid)
        self._there = there
        for gpu in self.gpus:
            for index, strict in enumerate(self._rules):
                verdict = self._judge((index, gpu.uuid), await strict.rule(gpu), strict.patience)
                if verdict.state is FAILING:
                    troubles.append(verdict)
        if troubles:
            return Look(FAILING, "; ".join(each.reason for each in troubles), troubles[0].hint)
        return WELL if self.gpus else Look(UNKNOWN, "no GPU was seen yet")

    def _judge(self, key: tuple[int, str], look: Look, patience: Patience) -> Verdict:
        now = self._clock.monotonic()
        verdict = self._verdicts.get(key, Verdict.begin(now)).after(look, now, patience)
        self._verdicts[key] = verdict
        return verdict


@dataclass(frozen=True, slots=True)
class GpuFitness:
    """What is looked at for each lane, and what an owner may accept."""

    watched: tuple[Watched, ...]
    broken: dict[str, tuple[Broken, FitnessProbe]]
    """By the lane's name."""

    def accept(self, lane: str) -> None:
        """Take what is wrong with a lane's GPUs for known, as their owner asks."""
        rule, probe = self.broken[lane]
        for gpu in probe.gpus:
            rule.accept(gpu.uuid)


def open_fitness(settings: Settings, monitor: GpuMonitor, users: UsersOf, clock: Clock) -> GpuFitness:
    """The rules that the settings ask for, for each lane."""
    gpu = settings.gpu
    watched: list[Watched] = []
    broken = {}
    for lane in settings.lanes:
        errors = Broken(monitor)
        rules = [
            Strict(usable, AT_ONCE),
            Strict(errors.look, AT_ONCE),
            Strict(Heat(monitor, gpu.temperature_most).look, HEATED),
            Strict(Slowed(monitor).look, AT_ONCE),
            Strict(Shared(monitor, users, gpu.foreign_vram_bytes).look, CROWDED),
        ]
        probe = FitnessProbe(monitor, lane.gpus, rules, clock, errors.forget)
        broken[lane.name] = (errors, probe)
        watched.append(Watched(FITNESS, probe, AT_ONCE, lane=lane.name))
        if gpu.pause_for:
            owned = Strict(Owned(monitor, users, gpu.pause_for).look, LEFT_ALONE)
            watched.append(
                Watched(
                    OWNER,
                    FitnessProbe(monitor, lane.gpus, [owned], clock),
                    AT_ONCE,
                    lane=lane.name,
                    ends_work=gpu.pause_ends_jobs,
                )
            )
    return GpuFitness(tuple(watched), broken)
