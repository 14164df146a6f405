"""What the accounts of an instruction must be for a wallet to sign it: nothing pays, or hands rights to, anybody else.

Every instruction of ours has one shape: its accounts in order, with their flags and with who each must be. Most follow
from the wallet's own key and the lane's settings. Those that do not are `free`, each with the reason why a wrong one
cannot cost anything: the programs compare them with what is stored on the chain, or only read them.
Order and flags are those of the published interfaces (Nosana jobs, nodes, staking, rewards; SPL token programs).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from node.chain import addresses
from node.chain.clusters import Cluster
from node.records import Address

Named = Mapping[str, Address]
"""The accounts of one instruction by the names of its shape."""
ANYONE = None
"""Receivers that a person names one by one, outside this policy."""


@dataclass(frozen=True, slots=True)
class Own:
    """What belongs to the wallet that is asked to sign.

    `payout`: the account or owner that the lane's settings pay, None for the wallet itself. `receivers`: who a person
    told to send to; `ANYONE` is for callers that let a person confirm each.
    """

    cluster: Cluster
    me: Address
    payout: Address | None = None
    receivers: frozenset[Address] | None = frozenset()

    @property
    def tokens(self) -> Address:
        """The wallet's own NOS account."""
        return addresses.token_account(self.cluster, self.me)

    @property
    def payouts(self) -> frozenset[Address]:
        """Token accounts that pay may go to. A payout may be a token account or the owner of one."""
        if self.payout is None:
            return frozenset({self.tokens})
        return frozenset({self.payout, addresses.token_account(self.cluster, self.payout)})

    @property
    def receiving(self) -> frozenset[Address] | None:
        """Token accounts of the receivers."""
        if self.receivers is None:
            return None
        return frozenset(addresses.token_account(self.cluster, each) for each in self.receivers)

    @property
    def spendable_to(self) -> frozenset[Address] | None:
        """Token accounts that NOS may be sent to: those of the receivers, and the payout where one is set."""
        if self.receiving is None or self.payout is None:
            return self.receiving
        return self.receiving | self.payouts


Rule = Callable[[Own, Named], frozenset[Address] | None]
"""The addresses allowed; None: any."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One account of an instruction. `flags`: W writes, S signs. `why`: only of a free one, the reason it may be.

    `fresh`: a one-time key made for this transaction, which signs beside the wallet's. `opens`: a token account that
    the same transaction may create.
    """

    name: str
    flags: str
    rule: Rule
    why: str = ""
    fresh: bool = False
    opens: bool = False


Shape = tuple[Slot, ...]


def _me(name: str, flags: str) -> Slot:
    return Slot(name, flags, lambda own, _: frozenset({own.me}))


def _program(field: str) -> Slot:
    return Slot(field, "", lambda own, _: frozenset({getattr(own.cluster, field)}))


def _free(name: str, flags: str, why: str, *, opens: bool = False) -> Slot:
    return Slot(name, flags, lambda _own, _named: None, why, opens=opens)


def _fresh(name: str) -> Slot:
    return Slot(name, "WS", lambda _own, _named: None, "a key made for this transaction, which signs it", fresh=True)


def _derived(name: str, flags: str, find: Callable[[Own, Named], Address], *, opens: bool = False) -> Slot:
    return Slot(name, flags, lambda own, named: frozenset({find(own, named)}), opens=opens)


_STORED = "the program refuses any but the one that the job's or run's account names"
_READ = "it is only read"
_QUEUE = "a market account of the jobs program: it holds a queue, and pays only by the rules of its vault"

_JOB = _free("job", "W", "an account of the jobs program: it takes nothing from the wallet")
_RUN = _free("run", "W", _STORED)
_MARKET = _free("market", "", _STORED)
_MARKET_W = _free("market", "W", _QUEUE)
_VAULT = _derived("vault", "W", lambda own, named: addresses.market_vault(own.cluster, named["market"]))
_TOKENS = _derived("user", "W", lambda own, _: own.tokens, opens=True)
_STAKE = _derived("stake", "", lambda own, _: addresses.stake_account(own.cluster, own.me))
_STAKE_W = _derived("stake", "W", lambda own, _: addresses.stake_account(own.cluster, own.me))
_STAKE_VAULT = _derived("vault", "W", lambda own, _: addresses.stake_vault(own.cluster, own.me))
_REWARD = _derived("reward", "", lambda own, _: addresses.reward_account(own.cluster, own.me))
_REWARD_W = _derived("reward", "W", lambda own, _: addresses.reward_account(own.cluster, own.me))
_REFLECTION = _derived("reflection", "W", lambda own, _: addresses.rewards_reflection(own.cluster))
_REWARDS_VAULT = _derived("rewards_vault", "W", lambda own, _: addresses.rewards_vault(own.cluster))
_NODE = _derived("node", "W", lambda own, _: addresses.node_account(own.cluster, own.me))
_PAYER_RUN = _free("payer_run", "W", _STORED)
_PAYER_JOB = _free("payer_job", "W", _STORED)
_SIGNS, _PAYS = _me("authority", "S"), _me("payer", "WS")
_SIGNS_W = _me("authority", "WS")
_SYSTEM, _TOKEN, _RENT = _program("system"), _program("token"), _program("rent")


def _deposit(own: Own, named: Named) -> frozenset[Address]:
    # Of a market without a price nothing is refunded, and the vault stands in.
    return frozenset({addresses.token_account(own.cluster, named["payer_job"]), named["vault"]})


_FINISHING: Shape = (
    _JOB,
    _RUN,
    _MARKET,
    _VAULT,
    Slot("deposit", "W", _deposit, opens=True),
    Slot("user", "W", lambda own, _: own.payouts, opens=True),
)
_ACCESS: Shape = (_free("nft", "", _READ), _free("metadata", "", _READ))
_POSTING: Shape = (
    _TOKENS,
    _VAULT,
    _PAYS,
    _REFLECTION,
    _REWARDS_VAULT,
    _SIGNS,
    _program("rewards"),
    _TOKEN,
    _SYSTEM,
)


def _refund(name: str) -> Slot:
    return _derived(name, "W", lambda own, named: addresses.token_account(own.cluster, named["payer"]), opens=True)


_PAYER_STORED = _free("payer", "W", _STORED)

SHAPES: dict[str, tuple[Shape, ...]] = {
    "budget.limit": ((),),
    "budget.price": ((),),
    "memo.memo": ((_me("signer", "S"),),),
    "ata.create": (
        (
            _PAYS,
            _derived("account", "W", lambda own, named: addresses.token_account(own.cluster, named["owner"])),
            _free("owner", "", "its NOS account must be one that this transaction uses, or the payout"),
            _program("nos_mint"),
            _SYSTEM,
            _TOKEN,
        ),
    ),
    "jobs.work": ((_fresh("run"), _MARKET_W, _PAYS, _STAKE, *_ACCESS, _SIGNS, _SYSTEM),),
    "jobs.claim": ((_JOB, _fresh("run"), _MARKET, _STAKE, *_ACCESS, _PAYS, _SIGNS, _SYSTEM),),
    "jobs.stop": ((_MARKET_W, _me("node", ""), _SIGNS),),
    "jobs.finish": (
        (*_FINISHING, _PAYER_RUN, _PAYER_JOB, _SIGNS, _TOKEN),
        (*_FINISHING, _PAYER_JOB, _PAYER_RUN, _free("project", "W", _STORED), _SIGNS, _TOKEN),
    ),
    "jobs.complete": ((_JOB, _SIGNS),),
    "jobs.quit": ((_JOB, _RUN, _PAYER_RUN, _SIGNS),),
    "jobs.list": ((_fresh("job"), _MARKET_W, _fresh("run"), *_POSTING),),
    "jobs.assign": ((_fresh("job"), _MARKET_W, _fresh("run"), _free("node", "", _READ), *_POSTING),),
    "jobs.extend": (
        (
            *(_JOB, _MARKET, _TOKENS, _VAULT, _REFLECTION, _REWARDS_VAULT, _SIGNS),
            *(_me("payer", "S"), _program("rewards"), _TOKEN),
        ),
    ),
    "jobs.delist": ((_JOB, _MARKET_W, _refund("deposit"), _PAYER_STORED, _VAULT, _TOKEN, _SIGNS_W),),
    "jobs.end": (
        (
            *(_JOB, _MARKET, _RUN),
            _free("deposit", "W", "the program refunds only the NOS account of the job's payer", opens=True),
            _free("user", "W", "the program pays only the NOS account of the run's node", opens=True),
            *(_VAULT, _PAYER_RUN, _SIGNS_W, _TOKEN),
        ),
    ),
    "jobs.recover": ((_JOB, _MARKET, _VAULT, _refund("user"), _PAYER_STORED, _SIGNS, _TOKEN),),
    "jobs.clean": ((_JOB, _MARKET, _PAYER_STORED),),
    "jobs.open": (
        (
            *(_program("nos_mint"), _fresh("market"), _VAULT, _SIGNS_W),
            *(_free("access_key", "", _READ), _RENT, _SYSTEM, _TOKEN),
        ),
    ),
    "jobs.update": ((_free("market", "W", "the program refuses a market of another owner"), _ACCESS[0], _SIGNS),),
    "jobs.close": (
        (_free("market", "W", "the program refuses a market of another owner"), _VAULT, _TOKENS, _SIGNS, _TOKEN),
    ),
    "nodes.register": ((_NODE, _PAYS, _SIGNS, _SYSTEM),),
    "nodes.update": ((_NODE, _SIGNS),),
    "staking.stake": ((_program("nos_mint"), _TOKENS, _STAKE_VAULT, _STAKE_W, _SIGNS_W, _SYSTEM, _TOKEN, _RENT),),
    "staking.topup": ((_TOKENS, _STAKE_VAULT, _STAKE_W, _SIGNS, _TOKEN),),
    "staking.extend": ((_STAKE_W, _SIGNS),),
    "staking.unstake": ((_STAKE_W, _REWARD, _SIGNS),),
    "staking.restake": ((_STAKE_VAULT, _STAKE_W, _SIGNS),),
    "staking.withdraw": ((_TOKENS, _STAKE_VAULT, _STAKE_W, _SIGNS_W, _TOKEN),),
    "staking.close": ((_TOKENS, _STAKE_W, _STAKE_VAULT, _SIGNS_W, _TOKEN),),
    "rewards.enter": ((_REFLECTION, _STAKE, _REWARD_W, _SIGNS_W, _SYSTEM),),
    "rewards.claim": ((_TOKENS, _REWARDS_VAULT, _REFLECTION, _REWARD_W, _STAKE, _SIGNS_W, _TOKEN),),
    "rewards.sync": ((_REWARD_W, _STAKE, _REFLECTION),),
    "rewards.close": ((_REFLECTION, _REWARD_W, _SIGNS_W),),
    "system.transfer": ((_me("source", "WS"), Slot("receiver", "W", lambda own, _: own.receivers)),),
    "token.transfer": (
        (
            _derived("source", "W", lambda own, _: own.tokens),
            Slot("destination", "W", lambda own, _: own.spendable_to, opens=True),
            _me("owner", "S"),
        ),
    ),
}
"""Instruction -> the shapes it may have (`finish` has had two orders of accounts)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a list of accounts has no allowed shape. `account` is None where their number is wrong."""

    slot: str
    account: Address | None
    expected: str


def fit(own: Own, name: str, accounts: Sequence[Address]) -> tuple[Shape, Fault | None]:
    """The shape that the accounts of an instruction have, with what is wrong where none allows them."""
    shapes = [shape for shape in SHAPES[name] if len(shape) == len(accounts)]
    if not shapes:
        counts = " or ".join(str(len(shape)) for shape in SHAPES[name])
        return (), Fault("accounts", None, f"{counts} accounts, not {len(accounts)}")
    faults = [_fault(own, shape, accounts) for shape in shapes]
    at = next((index for index, fault in enumerate(faults) if fault is None), 0)
    return shapes[at], faults[at]


def name_accounts(shape: Shape, accounts: Sequence[Address]) -> dict[str, Address]:
    """The accounts by the names of their slots."""
    return {slot.name: account for slot, account in zip(shape, accounts, strict=True)}


def _fault(own: Own, shape: Shape, accounts: Sequence[Address]) -> Fault | None:
    named = name_accounts(shape, accounts)
    for slot, account in zip(shape, accounts, strict=True):
        allowed = slot.rule(own, named)
        if allowed is not None and account not in allowed:
            return Fault(slot.name, account, " or ".join(sorted(allowed)) or "nobody that was named")
        if slot.fresh and account == own.me:
            return Fault(slot.name, account, "a key of its own")
    return None
