"""How often provers that cheat are found, beside what theory says.

    .venv/bin/python -m tests.bench.work_cheats [--tries 400] [--json]

Each cheat is tried against so many blocks that could come after its anchor. `found` is measured, with Wilson's
interval for 95 %; `theory` is what the page node/proof/README.md says; `p` is the exact chance of a count that is no
likelier than this one, if theory is right. Small matrices: what is found depends on shares and openings, not on size.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from node.base58 import b58encode
from node.gpu.work import hashes
from node.gpu.work.document import WorkProof
from node.proof.work import WorkAnchors, WorkVerdict, verify_work
from node.records import Address
from tests.gpu.work.examples import CHALLENGE, key
from tests.proof.forging import (
    SIZE,
    Forgery,
    forge,
    half_precision,
    honest,
    leaving_out,
    repeating,
    short_sums,
)

AFTER_SLOT = 1042
KNOWN = (1040, key(77))
"""A block that was there when the cheat made its root."""


@dataclass(frozen=True)
class Row:
    """One cheat."""

    cheat: str
    tries: int
    found: int
    theory: float
    by: str
    """Lines that said so."""

    @property
    def measured(self) -> float:
        return self.found / self.tries

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, for 95 %."""
        n, p, z = self.tries, self.measured, 1.96
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return max(0.0, middle - half), min(1.0, middle + half)

    @property
    def luck(self) -> float:
        """Exact two-sided p: the chance of a count that is at most as likely as this one."""
        chances = [_chance(self.tries, count, self.theory) for count in range(self.tries + 1)]
        return min(1.0, sum(each for each in chances if each <= chances[self.found] * (1 + 1e-9)))


def _chance(tries: int, count: int, theory: float) -> float:
    if theory in (0.0, 1.0):
        return float(count == round(theory * tries))
    log = math.lgamma(tries + 1) - math.lgamma(count + 1) - math.lgamma(tries - count + 1)
    return math.exp(log + count * math.log(theory) + (tries - count) * math.log1p(-theory))


def blocks(tries: int) -> Iterator[tuple[int, str]]:
    """Blocks that could come after an anchor; always the same ones."""
    for number in range(tries):
        yield AFTER_SLOT, b58encode(number.to_bytes(32, "little"))


def chain(made: WorkProof, after: tuple[int, str], **changes: Any) -> WorkAnchors:
    """What an honest chain says of a proof that was anchored before this block."""
    known: dict[str, Any] = {
        "node": Address(CHALLENGE.node),
        "root": made.root.hex(),
        "seed_blockhash": CHALLENGE.blockhash,
        "seed_time": 100,
        "anchor_slot": AFTER_SLOT - 1,
        "anchor_time": 120,
        "after_slot": after[0],
        "after_blockhash": after[1],
    }
    return WorkAnchors(**(known | changes))


def judged(made: WorkProof, anchors: WorkAnchors | None, secret: int = 0) -> WorkVerdict:
    return verify_work(
        made.body(),
        node=Address(CHALLENGE.node),
        gpu=CHALLENGE.gpu,
        anchors=anchors,
        least_openings=1,
        secret=secret.to_bytes(32, "big"),
    )


def passes_with(rows: int, openings: int) -> float:
    """The chance that none of the rows which are left out of each round is opened."""
    return (1 - rows / SIZE) ** openings


Attack = Callable[[tuple[int, str]], tuple[WorkProof, WorkAnchors]]


def measure(cheat: str, tries: int, theory: float, attack: Attack) -> Row:
    """The attack against so many blocks."""
    count, lines = 0, set()
    for number, after in enumerate(blocks(tries)):
        made, anchors = attack(after)
        verdict = judged(made, anchors, number)
        count += not verdict.ok
        lines |= set(verdict.failed)
    return Row(cheat, tries, count, theory, ", ".join(sorted(lines)))


def opening(forged: Forgery) -> Attack:
    """The plain way: anchor it, and open it where the block after says."""

    def attack(after: tuple[int, str]) -> tuple[WorkProof, WorkAnchors]:
        made = forged.opened(after)
        return made, chain(made, after)

    return attack


def rows(tries: int) -> Iterator[Row]:
    """Every cheat of the page."""
    yield measure("none: an honest proof", tries // 4, 0.0, opening(forge(honest)))
    for left_out, openings in ((3, 64), (13, 16), (51, 8), (3, 1024)):
        forged = forge(leaving_out(left_out), openings=openings)
        named = f"leaves out {left_out / SIZE:.1%} of the rows, {openings} opened"
        few = tries // 8 if openings > 100 else tries
        yield measure(named, few, 1 - passes_with(left_out, openings), opening(forged))
    yield measure("leaves out the last 1 % of each sum", tries // 4, 1.0, opening(forge(short_sums(0.01))))
    yield measure("rounds to half precision", tries // 4, 1.0, opening(forge(half_precision)))
    yield measure("hands in a round for the next three", tries // 4, 1.0, opening(forge(repeating(1))))
    yield measure("a B made before the seed's block", tries // 4, 1.0, opening(forge(honest, key_b=bytes(32))))
    yield grinding(tries)
    for anchors in (3, 10):
        yield choosing(tries, anchors)
    yield from borrowed(tries // 4)


def grinding(tries: int) -> Row:
    """Tries roots until the rows that a known block would pick are good; the block after the anchor picks others."""
    left_out, openings = 26, 16
    forged = forge(leaving_out(left_out), openings=openings)
    ground = next(
        each for each in (forged.saying(number) for number in range(10_000)) if judged(each.opened(KNOWN), None).ok
    )
    named = f"leaves out {left_out / SIZE:.0%}, grinds a root that suits a known block, {openings} opened"
    return measure(named, tries, 1 - passes_with(left_out, openings), opening(ground))


def choosing(tries: int, anchors: int) -> Row:
    """Anchors the same work under many roots, and shows the one whose block suits: found only if none does."""
    left_out, openings = 13, 64
    forged = forge(leaving_out(left_out), openings=openings)
    said = [forged.saying(number) for number in range(anchors)]
    count, told, lines = 0, 0.0, set()
    after = list(blocks(tries * anchors))
    for number in range(tries):
        caught = True
        for place, each in enumerate(said):
            block = after[number * anchors + place]
            made = each.opened(block)
            verdict = judged(made, chain(made, block, tries=place + 1), number)
            lines |= set(verdict.failed)
            if verdict.ok:
                caught = False
                detail = next(check.detail for check in verdict.checks if check.name == "work_rate")
                assert f"({place + 1} anchors)" in detail
                break
        count += caught
        told = max(told, min(1.0, anchors * passes_with(left_out, openings)))
    named = f"leaves out {left_out / SIZE:.0%}, anchors {anchors} roots and chooses, {openings} opened"
    return Row(named, tries, count, (1 - passes_with(left_out, openings)) ** anchors, ", ".join(sorted(lines)))


def borrowed(tries: int) -> Iterator[Row]:
    """Honest work that is passed off as something else."""
    done = forge(honest)

    def other(**changes: Any) -> Forgery:
        return forge(honest, challenge=replace(CHALLENGE, **changes))

    def shown_as(made: WorkProof, after: tuple[int, str]) -> tuple[WorkProof, WorkAnchors]:
        return made, chain(made, after)

    def case(named: str, attack: Attack) -> Row:
        return measure(named, tries, 1.0, attack)

    key_s, uuid_s, old = other(node=key(50)), other(gpu="GPU-other"), other(blockhash=key(51), slot=10)
    yield case("a proof of another key", lambda after: shown_as(key_s.opened(after), after))
    yield case("a proof of another GPU's UUID", lambda after: shown_as(uuid_s.opened(after), after))
    yield case("an old seed, said to be new", lambda after: shown_as(old.opened(after), after))
    for named, forged in (("key", key_s), ("UUID", uuid_s), ("seed", old)):
        yield case(
            f"another's {named} painted over",
            lambda after, forged=forged: shown_as(replace(forged.opened(after), challenge=CHALLENGE), after),
        )
    again = forge(lambda round_, a, b: key_s.products[round_ - 1])
    yield case("another key's products, all hashes made anew", lambda after: shown_as(again.opened(after), after))
    yield case("opened by a block before the anchor", lambda after: _known_block(done, after))
    yield case("opened by that block, said to be by the later one", lambda after: shown_as(
        done.opened(after, by=KNOWN), after))  # fmt: skip
    yield case("rows of another proof of its own", lambda after: shown_as(
        replace(done.opened(after), opened=old.opened(after).opened), after))  # fmt: skip
    yield case("fewer rounds than were anchored", lambda after: shown_as(_fewer(done, after), after))
    yield case("more rounds than were made", lambda after: shown_as(_more(done, after), after))


def _known_block(done: Forgery, after: tuple[int, str]) -> tuple[WorkProof, WorkAnchors]:
    made = done.opened(KNOWN)
    return made, chain(made, after)


def _fewer(done: Forgery, after: tuple[int, str]) -> WorkProof:
    made = done.opened(after)
    return replace(made, roots=made.roots[:-1])


def _more(done: Forgery, after: tuple[int, str]) -> WorkProof:
    """A round's root twice, and all that follows from the roots made anew."""
    made = done.opened(after)
    roots = (*made.roots, made.roots[-1])
    state = hashes.next_state(made.state, len(roots), roots[-1])
    root = hashes.final_root(state, len(roots), SIZE, made.openings, made.stated.document())
    return replace(made, roots=roots, state=state, root=root)


def late(seconds: int) -> float | None:
    """The rate that is told of an honest proof which was anchored so long after its seed's block."""
    made = forge(honest).opened((AFTER_SLOT, key(3)))
    return judged(made, chain(made, (AFTER_SLOT, key(3)), anchor_time=100 + seconds)).rate


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    found = []
    if not chosen.json:
        print(f"{'cheat':70} {'tries':>5} {'found':>7} {'95 %':>15} {'theory':>8} {'p':>6}  by")
    for row in rows(chosen.tries):
        low, high = row.interval
        found.append(asdict(row) | {"measured": row.measured, "low": low, "high": high, "p": row.luck})
        if not chosen.json:
            print(
                f"{row.cheat:70} {row.tries:5} {row.measured:7.2%} {low:6.1%} to {high:6.1%} {row.theory:8.3%}"
                f" {row.luck:6.3f}  {row.by}"
            )
    rates = {str(seconds): late(seconds) for seconds in (9, 10, 20, 200, 86_400)}
    if chosen.json:
        print(json.dumps({"cheats": found, "late": rates}))
    else:
        for seconds, rate in rates.items():
            told = "no rate" if rate is None else f"{rate:,.0f} operations a second"
            print(f"anchored {seconds} s after the seed's block: {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
