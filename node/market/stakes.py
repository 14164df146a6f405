"""A wallet's stake, by explicit command of its owner: create, top up, extend, unstake, withdraw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from solders.instruction import Instruction

from node.chain import accounts, addresses
from node.chain.instructions import rewards, staking, tokens
from node.chain.intents import Effect, Intent
from node.chain.rpc import Rpc
from node.errors import FundsMissing, StakeMissing, StakeRefused
from node.market.context import MarketContext
from node.records import Signature, Stake

MICRO_NOS = 1_000_000


@dataclass(frozen=True, slots=True)
class StakeView:
    """A stake and what lies in its vault (micro-NOS)."""

    stake: Stake
    held: int

    @property
    def unlocks_at(self) -> int | None:
        """Unix seconds at which everything can be withdrawn; None while it is not being unstaked."""
        return self.stake.time_unstake + self.stake.duration if self.stake.time_unstake else None


@dataclass(frozen=True, slots=True)
class StakeChange:
    """The stake after a command (None: closed), and the transaction's signature and fee in lamports."""

    view: StakeView | None
    signature: Signature
    fee: int


class Stakes:
    """Acts for one wallet."""

    def __init__(self, context: MarketContext) -> None:
        self._context = context

    async def view(self) -> StakeView | None:
        """The stake, None where there is none."""
        return await self._view(self._context.rpc)

    async def _view(self, rpc: Rpc) -> StakeView | None:
        context = self._context
        stake, vault = await rpc.get_accounts(
            [
                addresses.stake_account(context.cluster, context.node),
                addresses.stake_vault(context.cluster, context.node),
            ]
        )
        if stake is None:
            return None
        held = 0 if vault is None else await rpc.get_token_amount(vault.address)
        return StakeView(accounts.decode_stake(stake, context.cluster), held)

    async def create(self, amount: int, duration: int) -> StakeChange:
        """Make a stake of `amount` micro-NOS (0 is allowed), locked for `duration` seconds after unstaking."""
        context = self._context
        if (found := await self.view()) is not None:
            raise StakeRefused(
                f"wallet {context.node} has a stake of {found.stake.amount / MICRO_NOS:.6f} NOS already",
                hint="add to it with `gpunode stake topup`",
            )
        await self._require(amount)
        opening = tokens.create_token_account(context.cluster, payer=context.node, owner=context.node)
        made = staking.stake(context.cluster, authority=context.node, amount=amount, duration=duration)

        async def effect(rpc: Rpc) -> bool:
            return await self._view(rpc) is not None

        return await self._send("stake", [opening, made], effect)

    async def top_up(self, amount: int) -> StakeChange:
        """Add `amount` micro-NOS."""
        before = await self._locked()
        await self._require(amount)
        instruction = staking.topup(self._context.cluster, authority=self._context.node, amount=amount)

        async def effect(rpc: Rpc) -> bool:
            now = await self._view(rpc)
            return now is not None and now.stake.amount >= before.stake.amount + amount

        return await self._send("topup", [instruction], effect)

    async def extend(self, seconds: int) -> StakeChange:
        """Lengthen the lock by `seconds`, which raises the stake's weight."""
        before = await self._locked()
        instruction = staking.extend(self._context.cluster, authority=self._context.node, duration=seconds)

        async def effect(rpc: Rpc) -> bool:
            now = await self._view(rpc)
            return now is not None and now.stake.duration >= before.stake.duration + seconds

        return await self._send("stake_extend", [instruction], effect)

    async def unstake(self) -> StakeChange:
        """Begin to take the stake out: its weight becomes 0 at once, the NOS unlocks over the lock's time."""
        await self._locked()
        context = self._context
        opening: list[Instruction] = []
        reward = await context.rpc.get_account(addresses.reward_account(context.cluster, context.node))
        if reward is not None and reward.owner == context.cluster.rewards:
            # The staking program refuses while the wallet takes part in rewards.
            opening.append(rewards.close(context.cluster, authority=context.node))
        instruction = staking.unstake(context.cluster, authority=context.node)

        async def effect(rpc: Rpc) -> bool:
            now = await self._view(rpc)
            return now is not None and now.stake.time_unstake > 0

        return await self._send("unstake", [*opening, instruction], effect)

    async def withdraw(self) -> StakeChange:
        """Take out what has been unlocked so far."""
        before = await self._existing()
        if before.unlocks_at is None:
            raise StakeRefused(
                f"the stake of wallet {self._context.node} is locked",
                hint="begin to unlock it with `gpunode stake unstake`",
            )
        context = self._context
        opening = tokens.create_token_account(context.cluster, payer=context.node, owner=context.node)
        instruction = staking.withdraw(context.cluster, authority=context.node)

        async def effect(rpc: Rpc) -> bool:
            now = await self._view(rpc)
            return now is None or now.held < before.held

        return await self._send("withdraw", [opening, instruction], effect)

    async def _existing(self) -> StakeView:
        found = await self.view()
        if found is None:
            raise StakeMissing(
                f"wallet {self._context.node} has no stake account", hint="make one with `gpunode stake create`"
            )
        return found

    async def _locked(self) -> StakeView:
        found = await self._existing()
        if found.unlocks_at is not None:
            raise StakeRefused(
                f"the stake of wallet {self._context.node} is being taken out already",
                hint="see `gpunode stake show`, and take what is unlocked with `gpunode stake withdraw`",
            )
        return found

    async def _require(self, amount: int) -> None:
        context = self._context
        held = await context.rpc.get_token_amount(addresses.token_account(context.cluster, context.node))
        if held < amount:
            raise FundsMissing(
                f"wallet {context.node} holds {held / MICRO_NOS:.6f} NOS, {amount / MICRO_NOS:.6f} are asked for",
                hint=f"send it {(amount - held) / MICRO_NOS:.6f} NOS, or stake less (0 is allowed)",
            )

    async def _send(self, kind: str, instructions: Sequence[Instruction], effect: Effect) -> StakeChange:
        context = self._context
        landed = await context.outbox.send(
            Intent(
                key=f"{kind}:{context.node}",
                lane=context.lane,
                kind=kind,
                instructions=tuple(instructions),
                effect=effect,
            )
        )
        return StakeChange(await self.view(), landed.signature, landed.fee)
