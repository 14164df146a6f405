"""The rules of the jobs program in the order in which they are checked, and calls in which every role has a key of
its own, so that each of them can be broken alone."""

from __future__ import annotations

from collections.abc import Callable

from solders.pubkey import Pubkey

from .attempts import (
    Attempt,
    Fault,
    Rule,
    argument,
    other_mint,
    readonly,
    same,
    stored,
    stranger,
    tokens_of_stranger,
)
from .harness import METAPLEX
from .key_scene import KeyScene, metadata
from .market_scene import DEFINITION, JOBS, NODES, TIMEOUT, Scene, ready

# Offsets of stored keys and values.
MARKET_AUTHORITY, MARKET_VAULT, MARKET_MINIMUM = 8, 65, 130
QUEUE_TYPE, QUEUE_LENGTH, QUEUE = 146, 147, 151
JOB_RESULT, JOB_MARKET, JOB_NODE, JOB_PAYER, JOB_PROJECT, JOB_STATE, JOB_END = 40, 72, 104, 136, 176, 208, 209
RUN_JOB, RUN_NODE, RUN_PAYER = 8, 40, 72
STAKE_AUTHORITY = 16
TOKEN_OWNER, TOKEN_AMOUNT = 32, 64

FULL = (314).to_bytes(4, "little")


def someone_pays(attempt: Attempt) -> None:
    """A run account that holds lamports already."""
    attempt.world.give(attempt.accounts["run"], 1_000_000)


def node_waits(attempt: Attempt) -> None:
    """The node itself is in the queue."""
    market = attempt.accounts["market"]
    attempt.world.poke(market, QUEUE_TYPE, bytes([NODES]) + b"\x01\0\0\0" + bytes(attempt.accounts["authority"]))


def queue_of_another(attempt: Attempt) -> None:
    attempt.world.poke(attempt.accounts["market"], QUEUE, bytes(Pubkey.new_unique()))


def stake_elsewhere(attempt: Attempt) -> None:
    """A stake of the right authority that does not lie at its derived address."""
    world = attempt.world
    authority = attempt.accounts["authority"]
    attempt.accounts["stake"] = world.put_stake(authority, address=world.key())


def metadata_elsewhere(attempt: Attempt) -> None:
    world = attempt.world
    attempt.accounts["metadata"] = world.put(world.key(), METAPLEX, metadata())


def in_use(name: str) -> Fault:
    """An account of somebody else lies where the instruction wants to create one."""
    return lambda attempt: _put(attempt, name)


def _put(attempt: Attempt, name: str) -> None:
    attempt.world.put(attempt.accounts[name], attempt.world.programs["nodes"], bytes(10))


def no_signature(name: str) -> Fault:
    return lambda attempt: attempt.unsigned.add(name)


def closing_to_itself(name: str, target: str, offset: int | None = None) -> Fault:
    """The account that gets the lamports is the closed account itself, and stored as such."""

    def put(attempt: Attempt) -> None:
        address = attempt.accounts[target] = attempt.accounts[name]
        if offset is not None:
            attempt.world.poke(address, offset, bytes(address))

    return put


def broke(name: str) -> Rule:
    """The token program finds too little in the account."""
    return (stored(name, TOKEN_AMOUNT, bytes(8)), "Custom(1)", "")


def full(kind: int) -> Rule:
    return (stored("market", QUEUE_TYPE, bytes([kind]) + FULL), "AccountDidNotSerialize", "market")


def created(name: str) -> list[Rule]:
    """What the system program refuses to create."""
    return [(no_signature(name), "PrivilegeEscalation", ""), (in_use(name), "Custom(0)", "")]


def paying(name: str) -> Rule:
    """What the system program does not let pay for an account."""
    return (readonly(name), "PrivilegeEscalation", "")


def duplicates(*names: str) -> list[Rule]:
    """Token accounts that must differ: the later of two is blamed."""
    pairs = [(first, later) for index, later in enumerate(names) for first in names[:index]]
    return [(same(later, first), "ConstraintDuplicateMutableAccount", later) for first, later in pairs]


INVALID_MARKET: Rule = (stored("job", JOB_MARKET), "InvalidMarketAccount", "job")
PROJECT: Rule = (stored("job", JOB_PROJECT), "Unauthorized", "job")
INVALID_VAULT: Rule = (stored("market", MARKET_VAULT), "InvalidVault", "market")
RUN_OF_ANOTHER_JOB: Rule = (stored("run", RUN_JOB), "InvalidJobAccount", "run")
RUN_OF_ANOTHER_NODE: Rule = (stored("run", RUN_NODE), "Unauthorized", "run")
NOT_THE_ADMIN: Rule = (stranger("authority"), "Unauthorized", "authority")


def frozen(*names: str) -> list[Rule]:
    return [(readonly(name), "ConstraintMut", name) for name in names]


def wrong_state(state: int) -> Rule:
    return (stored("job", JOB_STATE, bytes([state])), "JobInWrongState", "job")


def payer_of(name: str, field: str = "payer") -> Rule:
    return (stranger(field), "InvalidPayer", name)


def not_ata(name: str) -> Rule:
    return (tokens_of_stranger(name), "InvalidATA", name)


def ends_in_itself(name: str, target: str, offset: int | None = None) -> Rule:
    return (closing_to_itself(name, target, offset), "ConstraintClose", name)


ACCESS: list[Rule] = [
    (stored("stake", STAKE_AUTHORITY), "Unauthorized", "stake"),
    (stored("market", MARKET_MINIMUM, (1).to_bytes(16, "little")), "NodeNotEnoughStake", "stake"),
    (stake_elsewhere, "InvalidStakeAccount", "stake"),
    (stored("nft", TOKEN_OWNER), "NodeNftWrongOwner", "nft"),
    (stored("nft", TOKEN_AMOUNT, bytes(8)), "NodeNftInvalidAmount", "nft"),
    (metadata_elsewhere, "NodeKeyInvalidCollection", "metadata"),
]
NEW_RUN: list[Rule] = [
    *frozen("run"),
    (no_signature("run"), "MissingSignature", "run"),
    (someone_pays, "LamportsNonNull", "run"),
]
FEES = frozen("rewards_reflection", "rewards_vault")

RULES: dict[str, list[Rule]] = {
    "open": [
        paying("authority"),
        *created("market"),
        (tokens_of_stranger("vault"), "ConstraintSeeds", "vault"),
        (other_mint, "ConstraintSeeds", "vault"),
        (in_use("vault"), "Custom(0)", ""),
    ],
    "update": [*frozen("market"), (stored("market", MARKET_AUTHORITY), "Unauthorized", "market")],
    "close": [
        *duplicates("vault", "user"),
        *frozen("market"),
        (stored("market", MARKET_AUTHORITY), "Unauthorized", "market"),
        INVALID_VAULT,
        ends_in_itself("market", "authority", MARKET_AUTHORITY),
        *frozen("vault", "user"),
    ],
    "close_admin": [
        *duplicates("vault", "user"),
        *frozen("market"),
        INVALID_VAULT,
        ends_in_itself("market", "authority"),
        *frozen("vault", "user"),
        NOT_THE_ADMIN,
    ],
    "list": [
        paying("payer"),
        *created("job"),
        *duplicates("user", "vault", "rewards_vault"),
        *frozen("market"),
        INVALID_VAULT,
        *NEW_RUN,
        *frozen("user"),
        not_ata("user"),
        *frozen("vault"),
        *FEES,
        broke("user"),
        full(JOBS),
    ],
    "assign": [
        paying("payer"),
        *created("job"),
        *created("run"),
        *duplicates("user", "vault", "rewards_vault"),
        *frozen("market"),
        INVALID_VAULT,
        (stored("market", QUEUE_TYPE, b"\x00"), "MarketInWrongState", "market"),
        *frozen("user"),
        not_ata("user"),
        *frozen("vault"),
        *FEES,
        (stranger("node"), "NotInMarketQueue", ""),
        broke("user"),
    ],
    "delist": [
        *duplicates("deposit", "vault"),
        *frozen("job"),
        payer_of("job"),
        INVALID_MARKET,
        PROJECT,
        wrong_state(2),
        ends_in_itself("job", "payer", JOB_PAYER),
        *frozen("market"),
        INVALID_VAULT,
        (stored("market", QUEUE_TYPE, b"\x01"), "MarketInWrongState", "market"),
        *frozen("deposit"),
        not_ata("deposit"),
        *frozen("payer", "vault", "authority"),
        (queue_of_another, "NotInMarketQueue", ""),
        broke("vault"),
    ],
    "extend": [
        *duplicates("user", "vault", "rewards_vault"),
        *frozen("job"),
        INVALID_MARKET,
        PROJECT,
        (stored("job", JOB_PAYER), "Unauthorized", "job"),
        wrong_state(2),
        INVALID_VAULT,
        *frozen("user"),
        not_ata("user"),
        *frozen("vault"),
        *FEES,
        (argument(0, TIMEOUT), "JobTimeoutNotGreater", ""),
        broke("user"),
    ],
    "end": [
        *duplicates("user", "vault"),
        *frozen("job"),
        INVALID_MARKET,
        PROJECT,
        INVALID_VAULT,
        *frozen("run"),
        payer_of("run"),
        RUN_OF_ANOTHER_JOB,
        ends_in_itself("run", "payer", RUN_PAYER),
        *frozen("deposit"),
        not_ata("deposit"),
        *frozen("user"),
        not_ata("user"),
        *frozen("vault", "payer", "authority"),
        broke("vault"),
    ],
    "recover": [
        *duplicates("vault", "user"),
        *frozen("job"),
        payer_of("job"),
        INVALID_MARKET,
        PROJECT,
        wrong_state(0),
        ends_in_itself("job", "payer", JOB_PAYER),
        INVALID_VAULT,
        *frozen("vault", "user", "payer"),
        broke("vault"),
    ],
    "work": [
        *NEW_RUN,
        *frozen("market"),
        (node_waits, "NodeAlreadyQueued", "market"),
        *frozen("payer"),
        *ACCESS,
        full(NODES),
    ],
    "stop": [
        *frozen("market"),
        (stored("market", QUEUE_TYPE, b"\x00"), "MarketInWrongState", "market"),
        (stranger("authority"), "Unauthorized", "authority"),
        (queue_of_another, "NotInMarketQueue", ""),
    ],
    "claim": [paying("payer"), *created("run"), *frozen("job"), INVALID_MARKET, wrong_state(0), *ACCESS],
    "finish": [
        *duplicates("vault", "user"),
        *frozen("job"),
        INVALID_MARKET,
        payer_of("job", "payer_job"),
        *frozen("run"),
        RUN_OF_ANOTHER_JOB,
        payer_of("run", "payer_run"),
        RUN_OF_ANOTHER_NODE,
        ends_in_itself("run", "payer_run", RUN_PAYER),
        INVALID_VAULT,
        *frozen("vault", "deposit"),
        not_ata("deposit"),
        *frozen("user"),
        (tokens_of_stranger("user", own_mint=False), "InvalidATA", "user"),
        *frozen("payer_run", "payer_job"),
        (argument(0, bytes(32)), "JobResultNull", ""),
        broke("vault"),
    ],
    "complete": [
        *frozen("job"),
        wrong_state(0),
        (stored("job", JOB_NODE), "Unauthorized", "job"),
        (stored("job", JOB_RESULT), "JobResultsAlreadySet", "job"),
        (argument(0, bytes(32)), "JobResultNull", ""),
    ],
    "quit": [
        *frozen("job", "run"),
        RUN_OF_ANOTHER_JOB,
        payer_of("run"),
        RUN_OF_ANOTHER_NODE,
        ends_in_itself("run", "payer", RUN_PAYER),
        *frozen("payer"),
    ],
    "quit_admin": [
        *frozen("run"),
        payer_of("run"),
        ends_in_itself("run", "payer", RUN_PAYER),
        *frozen("payer"),
        NOT_THE_ADMIN,
    ],
    "clean": [
        *frozen("job"),
        payer_of("job"),
        wrong_state(0),
        (stored("job", JOB_END, (2**40).to_bytes(8, "little")), "JobNotExpired", "job"),
        ends_in_itself("job", "payer", JOB_PAYER),
        *frozen("payer"),
    ],
    "clean_admin": [
        *frozen("job"),
        payer_of("job"),
        ends_in_itself("job", "payer", JOB_PAYER),
        *frozen("payer"),
        NOT_THE_ADMIN,
    ],
}


def _by_project(instruction: str, *args: int) -> Attempt:
    scene = Scene()
    project = scene.world.wallet()
    scene.expect(scene.attempt("list", DEFINITION, TIMEOUT, authority=project))
    return scene.attempt(instruction, *args, authority=project)


def _with_project(instruction: str) -> Attempt:
    attempt = ready(instruction)
    attempt.accounts["authority"] = attempt.world.wallet()
    return attempt


def _work() -> Attempt:
    """On an empty queue: with a waiting job nobody can be queued already."""
    scene = KeyScene()
    return scene.attempt("work", nft=scene.nft, metadata=scene.metadata, payer=scene.world.wallet())


def _claim() -> Attempt:
    scene = KeyScene()
    scene.post()
    assert scene.knock().ok
    scene.expect(scene.attempt("quit"))
    keys = {"nft": scene.nft, "metadata": scene.metadata, "payer": scene.world.wallet(), "run": scene.world.key()}
    return scene.attempt("claim", **keys)


_OWN: dict[str, Callable[[], Attempt]] = {
    "list": lambda: _with_project("list"),
    "assign": lambda: _with_project("assign"),
    "extend": lambda: _by_project("extend", TIMEOUT + 600),
    "delist": lambda: _by_project("delist"),
    "work": _work,
    "claim": _claim,
}


def call(instruction: str) -> Attempt:
    """A call that succeeds, signed by as many keys as it has roles."""
    return _OWN[instruction]() if instruction in _OWN else ready(instruction)
