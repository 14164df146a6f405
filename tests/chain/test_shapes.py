"""The shapes of what a wallet signs: every account that could cost something is fixed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey

from node.chain import policy, shapes
from node.chain.addresses import market_vault, to_key, token_account
from node.chain.clusters import DEVNET
from node.chain.instructions import jobs, markets, nodes, rewards, staking, tokens
from node.chain.memo import memo
from node.chain.policy import NODE_KINDS, OWNER_KINDS, POSTER_KINDS, Kinds, SpendingPolicy
from node.chain.transaction import Budget, compile_message
from node.errors import SpendingRefused
from node.records import Address, Cid, NodeProfile
from tests.chain.fakes import WALLET

INTERFACES: dict[str, Any] = json.loads((Path(__file__).parent / "interfaces.json").read_text())
ME = Address(str(WALLET.pubkey()))
CID = Cid("QmVp8m3Uq1Cm6JJ3NsuTMSGLNnqXa1mC85uV7YxBREQ78p")
BLOCKHASH = "4ruaGCyaofHWGxPFXFVjuEJCdfBGZ2wCtEx6LzdzVqtV"
PROFILE = NodeProfile(0, 276, 16, 2, 64, 65535, 1000, "e", "", "1.0")


def someone(number: int) -> Address:
    return Address(str(Keypair.from_seed(bytes([number]) * 32).pubkey()))


MARKET, JOB, RUN, POSTER, PAYER, PAYOUT, FRIEND, PROJECT = (someone(n) for n in range(1, 9))
FRESH = [Keypair.from_seed(bytes([n]) * 32) for n in (50, 51)]
ONE, TWO = (Address(str(each.pubkey())) for each in FRESH)
VAULT = market_vault(DEVNET, MARKET)
MINE = token_account(DEVNET, ME)
C = DEVNET


def opened(owner: Address) -> Instruction:
    return tokens.create_token_account(C, payer=ME, owner=owner)


def finish(user: Address = MINE, deposit: Address | None = None, older: bool = False) -> Instruction:
    common: dict[str, Any] = {
        **{"job": JOB, "run": RUN, "market": MARKET, "payer_run": PAYER, "payer_job": POSTER},
        **{"authority": ME, "user": user, "result": CID, "deposit": deposit},
    }
    return jobs.finish_older(C, project=PROJECT, **common) if older else jobs.finish(C, **common)


@dataclass(frozen=True)
class Case:
    """A transaction that we make, by its role."""

    kind: str
    made: tuple[Instruction, ...]
    kinds: Kinds = field(default_factory=lambda: NODE_KINDS)
    payout: Address | None = None
    receivers: frozenset[Address] = frozenset()
    fresh: tuple[Address, ...] = ()

    @property
    def policy(self) -> SpendingPolicy:
        return SpendingPolicy(C, self.kinds, payout=self.payout, receivers=self.receivers)

    async def check(self, made: Sequence[Instruction], fresh: Sequence[Address] | None = None) -> None:
        message = compile_message(ME, made, BLOCKHASH, Budget(20_000, 1_000))
        await self.policy.check(self.kind, message, ME, self.fresh if fresh is None else fresh)


def owner(kind: str, *made: Instruction, **more: Any) -> Case:
    return Case(kind, made, OWNER_KINDS, **more)


def poster(kind: str, *made: Instruction, **more: Any) -> Case:
    return Case(kind, made, POSTER_KINDS, **more)


_POST = {"job": ONE, "run": TWO, "market": MARKET, "payer": ME, "authority": ME, "definition": CID, "timeout": 60}

CASES: dict[str, Case] = {
    "work": Case("work", (jobs.work(C, run=ONE, market=MARKET, authority=ME),), fresh=(ONE,)),
    "work with a key": Case(
        "work", (jobs.work(C, run=ONE, market=MARKET, authority=ME, nft=FRIEND, nft_mint=PAYER),), fresh=(ONE,)
    ),
    "claim": Case("claim", (jobs.claim(C, job=JOB, run=ONE, market=MARKET, authority=ME),), fresh=(ONE,)),
    "stop": Case("stop", (jobs.stop(C, market=MARKET, node=ME),)),
    "finish": Case("finish", (finish(), memo(ME, "gpunode/1 r=x"))),
    "finish older": Case("finish", (finish(older=True), memo(ME, "gpunode/1 r=x"))),
    "finish unpaid": Case("finish", (finish(deposit=VAULT),)),
    "finish and open both": Case("finish", (opened(ME), opened(POSTER), finish())),
    "finish to a payout's owner": Case("finish", (opened(PAYOUT), finish(token_account(C, PAYOUT))), payout=PAYOUT),
    "finish to a payout account": Case("finish", (finish(PAYOUT, older=True),), payout=PAYOUT),
    "complete": Case("complete", (jobs.complete(C, job=JOB, authority=ME, result=CID), memo(ME, "x"))),
    "quit": Case("quit", (jobs.quit_run(C, job=JOB, run=RUN, payer_run=PAYER, authority=ME),)),
    "register": Case("register", (nodes.register(C, authority=ME, profile=PROFILE), memo(ME, "gpunode/1 h=x"))),
    "update": Case("update", (nodes.update(C, authority=ME, profile=PROFILE), memo(ME, "gpunode/1 h=x"))),
    "stake": Case("stake", (opened(ME), staking.stake(C, authority=ME, amount=1, duration=14 * 86_400))),
    "enter": Case("stake", (rewards.enter(C, authority=ME),)),
    "topup": Case("topup", (staking.topup(C, authority=ME, amount=1),)),
    "memo": Case("memo", (memo(ME, "x"),)),
    "token account": Case("token_account", (opened(ME),)),
    "payout's token account": Case("token_account", (opened(PAYOUT),), payout=PAYOUT),
    "list": poster("list", opened(ME), jobs.list_job(C, **_POST), fresh=(ONE, TWO)),
    "assign": poster("assign", jobs.assign_job(C, node=FRIEND, **_POST), fresh=(ONE, TWO)),
    "extend": poster("extend", jobs.extend_job(C, job=JOB, market=MARKET, authority=ME, payer=ME, timeout=9)),
    "delist": poster("delist", jobs.delist_job(C, job=JOB, market=MARKET, payer=ME, authority=ME)),
    "delist another payer's": poster("delist", jobs.delist_job(C, job=JOB, market=MARKET, payer=PAYER, authority=ME)),
    "end": poster(
        "end",
        opened(FRIEND),
        jobs.end_job(*(C,), job=JOB, market=MARKET, run=RUN, payer_job=ME, payer_run=PAYER, node=FRIEND, authority=ME),
    ),
    "recover": poster("recover", jobs.recover_job(C, job=JOB, market=MARKET, payer=ME, authority=ME)),
    "clean": poster("clean", jobs.clean_job(C, job=JOB, market=MARKET, payer=PAYER)),
    "send sol": owner(
        "transfer",
        tokens.transfer_lamports(source=ME, destination=FRIEND, lamports=1),
        receivers=frozenset({FRIEND}),
    ),
    "send nos": owner(
        "transfer",
        opened(FRIEND),
        tokens.transfer_tokens(C, source=MINE, destination=token_account(C, FRIEND), owner=ME, amount=1),
        receivers=frozenset({FRIEND}),
    ),
    "stake extend": owner("stake_extend", staking.extend(C, authority=ME, duration=9)),
    "unstake": owner("unstake", rewards.close(C, authority=ME), staking.unstake(C, authority=ME)),
    "restake": owner("restake", staking.restake(C, authority=ME)),
    "withdraw": owner("withdraw", opened(ME), staking.withdraw(C, authority=ME)),
    "stake close": owner("stake_close", staking.close(C, authority=ME)),
    "reward claim": owner("reward_claim", rewards.claim(C, authority=ME)),
    "reward sync": owner("reward_sync", rewards.sync(C, staker=ME)),
    "market open": owner(
        "market_open",
        markets.open_market(C, market=ONE, authority=ME, terms=markets.MarketTerms()),
        fresh=(ONE,),
    ),
    "market update": owner(
        "market_update", markets.update_market(C, market=MARKET, authority=ME, terms=markets.MarketTerms())
    ),
    "market close": owner("market_close", markets.close_market(C, market=MARKET, user=MINE, authority=ME)),
}


@pytest.mark.parametrize("name", CASES)
async def test_what_we_make_is_allowed(name: str) -> None:
    await CASES[name].check(CASES[name].made)


def test_every_kind_is_tried() -> None:
    tried = {(id(case.kinds), case.kind) for case in CASES.values()}
    for kinds in (NODE_KINDS, POSTER_KINDS):
        for kind in kinds:
            assert (id(kinds), kind) in tried or kind == "token_account", kind
    for kind in OWNER_KINDS:
        assert any(case.kind == kind for case in CASES.values()), kind


def named(case: Case, instruction: Instruction) -> tuple[str, shapes.Shape]:
    program = Address(str(instruction.program_id))
    name = policy.instruction_name(C, program, bytes(instruction.data))
    assert name is not None
    own = shapes.Own(C, ME, case.payout, case.receivers)
    shape, fault = shapes.fit(own, name, [Address(str(meta.pubkey)) for meta in instruction.accounts])
    assert fault is None, (name, fault)
    return name, shape


def with_account(instruction: Instruction, at: int, meta: AccountMeta) -> Instruction:
    metas = list(instruction.accounts)
    metas[at] = meta
    return Instruction(instruction.program_id, bytes(instruction.data), metas)


PLACES = [
    (name, number, at)
    for name, case in CASES.items()
    for number, instruction in enumerate(case.made)
    for at in range(len(instruction.accounts))
]


@pytest.mark.parametrize(("name", "number", "at"), PLACES)
async def test_no_account_can_be_another(name: str, number: int, at: int) -> None:
    """Each account of each transaction in turn is replaced by a stranger's, by the poster's and by one in use."""
    case = CASES[name]
    instruction = case.made[number]
    _, shape = named(case, instruction)
    slot, old = shape[at], instruction.accounts[at]
    strangers = [someone(200), token_account(C, someone(200)), POSTER, MARKET, JOB]
    for stranger in strangers:
        if stranger == str(old.pubkey):
            continue
        meta = AccountMeta(to_key(stranger), old.is_signer, old.is_writable)
        made = [*case.made[:number], with_account(instruction, at, meta), *case.made[number + 1 :]]
        if slot.why and not slot.fresh:
            continue  # harmless, for the reason given with the slot; see the next test
        with pytest.raises(SpendingRefused):
            await case.check(made)


FREE = {
    # Accounts that are only read, or that hold what the programs themselves compare.
    "jobs.work": {"market", "nft", "metadata"},
    "jobs.claim": {"job", "market", "nft", "metadata"},
    "jobs.stop": {"market"},
    "jobs.finish": {"job", "run", "market", "payer_run", "payer_job", "project"},
    "jobs.complete": {"job"},
    "jobs.quit": {"job", "run", "payer_run"},
    "jobs.list": {"market"},
    "jobs.assign": {"market", "node"},
    "jobs.extend": {"job", "market"},
    "jobs.delist": {"job", "market", "payer"},
    "jobs.end": {"job", "market", "run", "deposit", "user", "payer_run"},
    "jobs.recover": {"job", "market", "payer"},
    "jobs.clean": {"job", "market", "payer"},
    "jobs.open": {"access_key"},
    "jobs.update": {"market", "nft"},
    "jobs.close": {"market"},
    "ata.create": {"owner"},
}


def test_the_free_accounts_are_these_and_say_why() -> None:
    found: dict[str, set[str]] = {}
    for name, alternatives in shapes.SHAPES.items():
        for shape in alternatives:
            own = shapes.Own(C, ME)
            some = {slot.name: someone(100 + at) for at, slot in enumerate(shape)}
            for slot in shape:
                if slot.rule(own, some) is None:
                    assert len(slot.why) > 10, (name, slot.name)
                    if not slot.fresh:
                        found.setdefault(name, set()).add(slot.name)
                else:
                    assert not slot.why
    assert found == FREE


@pytest.mark.parametrize("name", [name for name in shapes.SHAPES if name.split(".")[0] in INTERFACES])
def test_shapes_are_those_of_the_published_interfaces(name: str) -> None:
    room, _, short = name.partition(".")
    published = ["".join(sorted(flags)) for _, flags in INTERFACES[room][short]["accounts"]]
    assert published in [["".join(sorted(slot.flags)) for slot in shape] for shape in shapes.SHAPES[name]]


def test_every_instruction_that_a_kind_lists_has_a_shape() -> None:
    listed = set().union(*NODE_KINDS.values(), *POSTER_KINDS.values(), *OWNER_KINDS.values())
    assert listed <= set(shapes.SHAPES)


@pytest.mark.parametrize(("name", "number", "at"), PLACES)
async def test_no_account_gets_more_rights(name: str, number: int, at: int) -> None:
    case = CASES[name]
    old = case.made[number].accounts[at]
    if not old.is_writable and str(old.pubkey) not in (ME, C.system):
        meta = AccountMeta(old.pubkey, old.is_signer, True)
        made = [*case.made[:number], with_account(case.made[number], at, meta), *case.made[number + 1 :]]
        elsewhere = any(
            other.is_writable and other.pubkey == old.pubkey for each in case.made for other in each.accounts
        )
        if not elsewhere:
            with pytest.raises(SpendingRefused):
                await case.check(made)
    if not old.is_signer:
        meta = AccountMeta(old.pubkey, True, old.is_writable)
        made = [*case.made[:number], with_account(case.made[number], at, meta), *case.made[number + 1 :]]
        if str(old.pubkey) != ME:
            with pytest.raises(SpendingRefused):
                await case.check(made)


@pytest.mark.parametrize("name", CASES)
async def test_no_account_more_or_less(name: str) -> None:
    case = CASES[name]
    for number, instruction in enumerate(case.made):
        metas = list(instruction.accounts)
        extra = AccountMeta(Pubkey.from_string(FRIEND), False, True)
        for changed in ([*metas, extra], metas[:-1]):
            one = Instruction(instruction.program_id, bytes(instruction.data), changed)
            with pytest.raises(SpendingRefused):
                await case.check([*case.made[:number], one, *case.made[number + 1 :]])


@pytest.mark.parametrize("name", CASES)
async def test_nothing_is_there_twice(name: str) -> None:
    case = CASES[name]
    last = case.made[-1]
    with pytest.raises(SpendingRefused):
        await case.check([*case.made, last, last])


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.fresh])
async def test_one_time_keys_are_those_made_for_it(name: str) -> None:
    case = CASES[name]
    for fresh in ((), case.fresh[:-1], (*case.fresh, FRIEND), (FRIEND,), (ME,)):
        with pytest.raises(SpendingRefused):
            await case.check(case.made, fresh)


async def test_a_wallet_does_not_stand_in_for_a_one_time_key() -> None:
    made = jobs.work(C, run=ME, market=MARKET, authority=ME)
    with pytest.raises(SpendingRefused, match="run"):
        await Case("work", (made,)).check([made], [ME])


async def test_only_accounts_in_use_are_opened() -> None:
    finishing = CASES["finish"]
    for stranger in (FRIEND, PAYER, PROJECT):
        with pytest.raises(SpendingRefused, match="opened"):
            await finishing.check([opened(stranger), finish()])
    for kind in ("memo", "token_account", "work"):
        with pytest.raises(SpendingRefused, match="opened"):
            await Case(kind, ()).check([opened(FRIEND)])
    with pytest.raises(SpendingRefused, match="times"):
        await finishing.check([opened(ME), opened(POSTER), opened(ME), finish()])
    # Another mint, or another token program, is another account.
    other = tokens.create_token_account(C, payer=ME, owner=ME, mint=FRIEND)
    with pytest.raises(SpendingRefused):
        await finishing.check([other, finish()])


async def test_nobody_is_paid_unless_named() -> None:
    closed = owner("transfer", tokens.transfer_lamports(source=ME, destination=FRIEND, lamports=1))
    with pytest.raises(SpendingRefused, match="nobody that was named"):
        await closed.check(closed.made)
    confirmed = SpendingPolicy(C, OWNER_KINDS, receivers=shapes.ANYONE)
    message = compile_message(ME, closed.made, BLOCKHASH, Budget(20_000, 1_000))
    await confirmed.check("transfer", message, ME, ())
    # Not from somebody else's account, even so.
    theirs = tokens.transfer_tokens(C, source=FRIEND, destination=FRIEND, owner=ME, amount=1)
    with pytest.raises(SpendingRefused, match="source"):
        await confirmed.check("transfer", compile_message(ME, [theirs], BLOCKHASH, Budget(1, 1)), ME, ())


async def test_malformed_messages_are_refused() -> None:
    message = compile_message(ME, CASES["finish"].made, BLOCKHASH, Budget(20_000, 1_000))
    raw = bytes(message)
    allowed = CASES["finish"].policy

    def changed(keys: list[Pubkey]) -> MessageV0:
        return MessageV0(message.header, keys, message.recent_blockhash, message.instructions, [])

    keys = list(message.account_keys)
    for broken in (
        changed(keys[:3]),
        changed([keys[0]]),
        changed([keys[0], *keys[:-1]]),
        changed([*keys, to_key(FRIEND)]),
    ):
        with pytest.raises(SpendingRefused):
            await allowed.check("finish", broken, ME)
    assert bytes(message) == raw


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(CASES)),
    data=st.data(),
    stranger=st.binary(min_size=32, max_size=32),
    flags=st.tuples(st.booleans(), st.booleans()),
)
async def test_whatever_is_changed_nobody_else_is_paid(
    name: str, data: st.DataObject, stranger: bytes, flags: tuple[bool, bool]
) -> None:
    """Any account, at any place, with any flags: refused, unless the place is free and the flags stay."""
    case = CASES[name]
    number = data.draw(st.integers(0, len(case.made) - 1))
    instruction = case.made[number]
    at = data.draw(st.integers(0, len(instruction.accounts) - 1))
    old = instruction.accounts[at]
    new = AccountMeta(Pubkey.from_bytes(stranger), *flags)
    made = [*case.made[:number], with_account(instruction, at, new), *case.made[number + 1 :]]
    slot = named(case, instruction)[1][at]
    harmless = bool(slot.why) and not slot.fresh and flags == (old.is_signer, old.is_writable)
    try:
        await case.check(made)
    except SpendingRefused:
        return
    assert harmless, (name, slot.name)
