"""A holder of NOS and host: calls of the staking, rewards and nodes programs that succeed."""

from __future__ import annotations

from collections.abc import Callable

from solders.pubkey import Pubkey

from node.chain.clusters import IdSet
from node.localnet.artefacts import network_authority

from .attempts import Attempt
from .harness import START, Argument, World, pda

DAY = 86_400
YEAR = 365 * DAY
DURATION = 14 * DAY
AMOUNT = 10_000_000_000
FUNDS = 100_000_000_000
PROFILE: tuple[Argument, ...] = (0, 528, 16, 2, 64, 5_000, 900, "host.example.org:5001", "", "1.2.3")


class Holder:
    def __init__(self, ids: IdSet = "devnet") -> None:
        self.world = World(ids)
        self.wallet = self.world.wallet(nos=FUNDS)
        self.stake = self.world.stake(self.wallet)
        self.vault = self.world.stake_vault(self.wallet)
        self.settings = pda([b"settings"], self.world.programs["staking"])
        self.reward = pda([b"reward", bytes(self.wallet)], self.world.programs["rewards"])
        self.node = pda([b"node", bytes(self.wallet)], self.world.programs["nodes"])

    def attempt(self, program: str, instruction: str, *args: Argument, **accounts: Pubkey) -> Attempt:
        accounts = {
            "user": self.world.nos(self.wallet),
            "vault": self.world.rewards_vault if program == "rewards" else self.vault,
            "stake": self.stake,
            "settings": self.settings,
            "reward": self.reward,
            "reflection": self.world.reflection,
            "authority": self.wallet,
            "payer": self.wallet,
            "node": self.node,
        } | accounts
        return Attempt(self.world, program, instruction, accounts, list(args))

    def do(self, program: str, instruction: str, *args: Argument, **accounts: Pubkey) -> None:
        outcome = self.attempt(program, instruction, *args, **accounts).send()
        assert outcome.ok, outcome.logs

    def lock(self, amount: int = AMOUNT, duration: int = DURATION) -> Holder:
        self.do("staking", "stake", amount, duration)
        return self

    def release(self) -> Holder:
        self.lock()
        self.do("staking", "unstake")
        return self

    def empty(self) -> Holder:
        """Unstaked, everything withdrawn, and the time of closing has come."""
        self.release()
        self.pass_time(DURATION + 1)
        self.do("staking", "withdraw")
        return self

    def govern(self) -> Pubkey:
        """Makes the settings, with a token account of ours to slash into; gives that account."""
        self.do("staking", "init")
        target = self.world.put_tokens(self.world.key(), self.wallet, 0)
        self.do("staking", "update_settings", **self.authority(), new_authority=self.network, token_account=target)
        return target

    @property
    def network(self) -> Pubkey:
        return self.world.key(network_authority())

    def authority(self) -> dict[str, Pubkey]:
        return {"authority": self.network}

    def take_part(self) -> Holder:
        self.lock()
        self.do("rewards", "init")
        self.do("rewards", "enter")
        return self

    def pass_time(self, seconds: int) -> None:
        self.world.set_time(START + seconds)


def _update_settings(holder: Holder) -> Attempt:
    holder.do("staking", "init")
    target = holder.world.put_tokens(holder.world.key(), holder.wallet, 0)
    accounts = {"new_authority": holder.wallet, "token_account": target} | holder.authority()
    return holder.attempt("staking", "update_settings", **accounts)


def _slash(holder: Holder) -> Attempt:
    target = holder.govern()
    return holder.lock().attempt("staking", "slash", 1_000, token_account=target, **holder.authority())


def _registered(holder: Holder) -> Holder:
    holder.do("nodes", "register", *PROFILE)
    return holder


def _withdraw(holder: Holder) -> Attempt:
    holder.release()
    holder.pass_time(DAY)
    return holder.attempt("staking", "withdraw")


def _rewards_init(holder: Holder) -> Attempt:
    return holder.attempt("rewards", "init")


def _enter(holder: Holder) -> Attempt:
    holder.lock().do("rewards", "init")
    return holder.attempt("rewards", "enter")


READY: dict[tuple[str, str], Callable[[Holder], Attempt]] = {
    ("staking", "init"): lambda h: h.attempt("staking", "init"),
    ("staking", "update_settings"): _update_settings,
    ("staking", "stake"): lambda h: h.attempt("staking", "stake", AMOUNT, DURATION),
    ("staking", "topup"): lambda h: h.lock().attempt("staking", "topup", 5),
    ("staking", "extend"): lambda h: h.lock().attempt("staking", "extend", DAY),
    ("staking", "unstake"): lambda h: h.lock().attempt("staking", "unstake"),
    ("staking", "restake"): lambda h: h.release().attempt("staking", "restake"),
    ("staking", "withdraw"): _withdraw,
    ("staking", "close"): lambda h: h.empty().attempt("staking", "close"),
    ("staking", "slash"): _slash,
    ("rewards", "init"): _rewards_init,
    ("rewards", "enter"): _enter,
    ("rewards", "add_fee"): lambda h: h.take_part().attempt("rewards", "add_fee", 7),
    ("rewards", "claim"): lambda h: h.take_part().attempt("rewards", "claim"),
    ("rewards", "sync"): lambda h: h.take_part().attempt("rewards", "sync"),
    ("rewards", "close"): lambda h: h.take_part().attempt("rewards", "close"),
    ("nodes", "register"): lambda h: h.attempt("nodes", "register", *PROFILE),
    ("nodes", "update"): lambda h: _registered(h).attempt("nodes", "update", *PROFILE),
    ("nodes", "audit"): lambda h: _registered(h).attempt("nodes", "audit", 1, **h.authority()),
}


def ready(program: str, instruction: str, ids: IdSet = "devnet") -> Attempt:
    return READY[program, instruction](Holder(ids))
