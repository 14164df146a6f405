"""A market with a poster and a node, brought into the state in which an instruction makes sense."""

from __future__ import annotations

import struct
from collections.abc import Callable

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from node.chain.clusters import IdSet
from node.localnet.artefacts import market_admin

from .attempts import Attempt
from .harness import SOL, START, SYSTEM, Argument, Outcome, World, tag

PRICE = 100
TIMEOUT = 3600
DEPOSIT = PRICE * TIMEOUT
EXPIRATION = 86_400
FUNDS = 1_000_000_000
DEFINITION = b"\x07" * 32
RESULT = b"\x09" * 32
NO_RESULT = bytes(32)

JOB_RENT = 2_561_280
RUN_RENT = 1_726_080
MARKET_RENT = 72_049_920
VAULT_RENT = 2_039_280

JOBS, NODES, EMPTY = 0, 1, 255


def job_bytes(
    scene: Scene,
    *,
    result: bytes = NO_RESULT,
    node: Pubkey = SYSTEM,
    state: int = 0,
    end: int = 0,
    start: int = 0,
    timeout: int = TIMEOUT,
) -> bytes:
    """A job of the scene's poster, as the program must have written it."""
    poster, market = bytes(scene.poster), bytes(scene.market)
    keys = DEFINITION + result + market + bytes(node) + poster
    values = struct.pack("<Q32sBqqq", scene.price, poster, state, end, start, timeout)
    return (tag("JobAccount") + keys + values).ljust(240, b"\0")


def run_bytes(job: Pubkey, node: Pubkey, payer: Pubkey, time: int) -> bytes:
    return (tag("RunAccount") + bytes(job) + bytes(node) + bytes(payer) + struct.pack("<Bq", 0, time)).ljust(120, b"\0")


class Scene:
    def __init__(
        self,
        *,
        price: int = PRICE,
        job_type: int = 0,
        access_key: Pubkey = SYSTEM,
        minimum: int = 0,
        ids: IdSet = "devnet",
    ) -> None:
        self.world = World(ids)
        self.world.put_reflection()
        self.price = price
        self.owner = self.world.wallet(nos=0)
        self.poster = self.world.wallet(nos=FUNDS)
        self.node = self.new_node()
        self.market = self.world.key()
        self.vault = self.world.market_vault(self.market)
        self.job = self.world.key()
        self.run = self.world.key()
        terms = (EXPIRATION, price, TIMEOUT, job_type, minimum)
        self.expect(self.attempt("open", *terms, authority=self.owner, access_key=access_key))

    def new_node(self) -> Pubkey:
        node = self.world.wallet(nos=0)
        self.world.put_stake(node)
        return node

    # -- calls ---------------------------------------------------------------------------------------------------

    def attempt(self, instruction: str, *args: Argument, **accounts: Pubkey) -> Attempt:
        """A call with the scene's accounts in the roles they have in that instruction."""
        world = self.world
        node_acts = instruction in ("work", "stop", "claim", "finish", "complete", "quit")
        accounts = {
            "job": self.job,
            "run": self.run,
            "market": self.market,
            "vault": self.vault,
            "node": self.node,
            "stake": world.stake(self.node),
            "nft": world.nos(self.node),
            "deposit": world.nos(self.poster),
            "user": world.nos(self.node if instruction in ("finish", "end") else self.poster),
            "payer": self.node if instruction in ("work", "claim", "quit", "quit_admin", "end") else self.poster,
            "payer_run": self.node,
            "payer_job": self.poster,
            "authority": self.node if node_acts else self.poster,
        } | accounts
        return Attempt(world, "jobs", instruction, accounts, list(args))

    def expect(self, attempt: Attempt) -> Outcome:
        outcome = attempt.send()
        assert outcome.ok, outcome.logs
        return outcome

    def post(self, *, timeout: int = TIMEOUT) -> Pubkey:
        """Posts a job; gives its key."""
        self.job, self.run = self.world.key(), self.world.key()
        self.expect(self.attempt("list", DEFINITION, timeout))
        return self.job

    def work(self) -> Pubkey:
        """The node offers itself; gives the key of the run, if there is one."""
        self.run = self.world.key()
        self.expect(self.attempt("work"))
        return self.run

    def start(self) -> None:
        """A job of the poster runs on the node, since START."""
        self.post()
        self.work()

    def pass_time(self, seconds: int) -> None:
        self.world.set_time(START + seconds)

    # -- looking -------------------------------------------------------------------------------------------------

    def queue(self) -> tuple[int, list[Pubkey]]:
        """Type and entries of the market's queue."""
        data = self.world.data(self.market)
        count = int.from_bytes(data[147:151], "little")
        return data[146], [Pubkey.from_bytes(data[151 + 32 * i : 183 + 32 * i]) for i in range(count)]

    def tokens(self) -> tuple[int, int, int]:
        """NOS (1e-6) of poster, node and vault."""
        world = self.world
        return (
            world.tokens(world.nos(self.poster)),
            world.tokens(world.nos(self.node)),
            world.tokens(self.vault),
        )


def quit_job(scene: Scene) -> None:
    scene.start()
    scene.expect(scene.attempt("quit"))
    scene.run = scene.world.key()


def end_job(scene: Scene) -> None:
    scene.start()
    scene.pass_time(60)
    scene.expect(scene.attempt("end"))


def _as_admin(scene: Scene, instruction: str) -> Attempt:
    return scene.attempt(instruction, authority=_key(scene, market_admin()))


def _key(scene: Scene, pair: Keypair) -> Pubkey:
    return scene.world.key(pair)


def _paying(attempt: Attempt) -> Attempt:
    """The authority pays the fee as well."""
    attempt.world.fees = attempt.accounts["authority"]
    attempt.world.give(attempt.world.fees, SOL)
    return attempt


def _open(scene: Scene) -> Attempt:
    market = scene.world.key()
    return scene.attempt(
        "open", 1, 2, 3, 4, 5, market=market, vault=scene.world.market_vault(market), authority=scene.owner
    )


def _closed(scene: Scene, instruction: str) -> Attempt:
    scene.world.set_time(START + 10 * EXPIRATION)
    return scene.attempt(instruction)


# instruction -> what has to happen before it, and the call.
READY: dict[str, tuple[Callable[[Scene], object], Callable[[Scene], Attempt]]] = {
    "open": (lambda _: None, _open),
    "update": (lambda _: None, lambda s: s.attempt("update", 9, 8, 7, 6, 5, authority=s.owner)),
    # The owner's key is not flagged writable there, yet gets the lamports: it pays the fee.
    "close": (lambda _: None, lambda s: _paying(s.attempt("close", authority=s.owner))),
    "close_admin": (lambda _: None, lambda s: _paying(_as_admin(s, "close_admin"))),
    "list": (lambda _: None, lambda s: s.attempt("list", DEFINITION, TIMEOUT)),
    "assign": (Scene.work, lambda s: s.attempt("assign", DEFINITION, TIMEOUT)),
    "delist": (Scene.post, lambda s: s.attempt("delist")),
    "extend": (Scene.post, lambda s: s.attempt("extend", TIMEOUT + 600)),
    "end": (Scene.start, lambda s: s.attempt("end")),
    "recover": (quit_job, lambda s: s.attempt("recover")),
    "work": (Scene.post, lambda s: s.attempt("work", run=s.world.key())),
    "stop": (Scene.work, lambda s: s.attempt("stop")),
    "claim": (quit_job, lambda s: s.attempt("claim")),
    "finish": (Scene.start, lambda s: s.attempt("finish", RESULT)),
    "complete": (end_job, lambda s: s.attempt("complete", RESULT)),
    "quit": (Scene.start, lambda s: s.attempt("quit")),
    "quit_admin": (Scene.start, lambda s: _as_admin(s, "quit_admin")),
    "clean": (end_job, lambda s: _closed(s, "clean")),
    "clean_admin": (end_job, lambda s: _as_admin(s, "clean_admin")),
}


def ready(instruction: str, scene: Scene | None = None) -> Attempt:
    """A call of the instruction that succeeds."""
    scene = scene or Scene()
    prepare, call = READY[instruction]
    prepare(scene)
    return call(scene)
