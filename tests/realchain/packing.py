"""Which segments of a recording share a real node: those that no account and no time sets apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.realchain.recording import Recording, Segment, State, segments


@dataclass(slots=True)
class Chain:
    """One node's genesis and what is sent to it."""

    unix_time: int
    genesis: dict[bytes, State] = field(default_factory=dict)
    changed: set[bytes] = field(default_factory=set)
    segments: list[Segment] = field(default_factory=list)

    def takes(self, segment: Segment) -> bool:
        """Whether the segment finds every account as it needs it, and nobody changes what another one looks at."""
        if segment.unix_time != self.unix_time:
            return False
        return all(
            self.genesis[key] == value and key not in self.changed and key not in segment.changed
            for key, value in segment.genesis.items()
            if key in self.genesis
        )

    def add(self, segment: Segment) -> None:
        self.genesis.update(segment.genesis)
        self.changed |= segment.changed
        self.segments.append(segment)

    @property
    def steps(self) -> int:
        return sum(len(segment.steps) for segment in self.segments)


def pack(chosen: Iterable[Segment]) -> list[Chain]:
    """The segments on as few chains as first-fit finds, the chain with most transactions first."""
    chains: list[Chain] = []
    for segment in chosen:
        chain = next((chain for chain in chains if chain.takes(segment)), None)
        if chain is None:
            chain = Chain(segment.unix_time)
            chains.append(chain)
        chain.add(segment)
    return sorted(chains, key=lambda chain: -chain.steps)


def choose(recording: Recording, examples: int) -> list[Segment]:
    """The segments; of a property at most so many: each example has accounts of its own making, and often needs a
    node of its own."""
    counted: Counter[str] = Counter()
    chosen = []
    for world in recording.worlds:
        for segment in segments(world):
            properties = segment.tests & recording.properties
            if all(counted[test] < examples for test in properties):
                counted.update(properties)
                chosen.append(segment)
    return chosen
