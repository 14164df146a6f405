"""Which segments of a recording share a real node: those that no account and no time sets apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from tests.realchain.recording import Held, Recording, Segment, State, segments


@dataclass(slots=True)
class Chain:
    """One node's genesis and what is sent to it."""

    unix_time: int
    genesis: dict[bytes, State] = field(default_factory=dict)
    changed: set[bytes] = field(default_factory=set)
    payers: dict[bytes, Held] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)

    def takes(self, segment: Segment) -> bool:
        """Whether the segment finds every account as it needs it, and nobody changes what another one looks at."""
        if segment.unix_time != self.unix_time:
            return False
        if not self.genesis.keys().isdisjoint(segment.payers) or not self.payers.keys().isdisjoint(segment.genesis):
            return False
        return all(
            self.genesis[key] == value and key not in self.changed and key not in segment.changed
            for key, value in segment.genesis.items()
            if key in self.genesis
        )

    def add(self, segment: Segment) -> None:
        self.genesis.update(segment.genesis)
        self.changed |= segment.changed
        self.payers.update(segment.payers)
        self.segments.append(segment)

    @property
    def accounts(self) -> dict[bytes, State]:
        """All that lies there in the beginning."""
        return {**self.genesis, **self.payers}

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
    """The segments that are sent, which are all but two kinds of repetition.

    Of a property, `examples` segments are sent: each example has accounts of its own making, and often needs a node of
    its own. Of the preparations before a test puts something in place by hand, those that another test made before in
    the same way, with other keys, are left out; what they led to is in the genesis that follows.
    """
    counted: Counter[str] = Counter()
    prepared: Counter[Hashable] = Counter()
    chosen = []
    for world in recording.worlds:
        cut = segments(world)
        for number, segment in enumerate(cut, start=1):
            properties = segment.tests & recording.properties
            if any(counted[test] >= examples for test in properties):
                continue
            if number < len(cut):
                prepared[segment.shape] += 1
                if prepared[segment.shape] > 1:
                    continue
            counted.update(properties)
            chosen.append(segment)
    return chosen
