"""How long the SOL of each lane's wallet lasts, for commands that show it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from node.agent.earnings.forecast import SPAN, Forecast, forecast
from node.cli import agent_state, amounts
from node.errors import GpunodeError

if TYPE_CHECKING:
    from node.chain.rpc import Rpc
    from node.journal.money import Money
    from node.records import Address
    from node.settings import LaneSettings, Settings

PATIENCE = 5.0
"""Seconds for which an endpoint is waited for: the rest of the answer does not need it."""


async def wallets(settings: Settings) -> list[dict[str, Any]]:
    """Of each lane: `lane`, `address`, `lamports`, `days`, `daily` (lamports), `reason`; null: not known."""
    from node.cli.reach import reach, target

    money = await _money(settings)
    wanted = target(settings, None, None, None)
    try:
        async with reach(type(wanted)(wanted.cluster, wanted.ids, wanted.urls, PATIENCE)) as (_, endpoint):
            return [await _wallet(settings, lane, money, endpoint) for lane in settings.lanes]
    except GpunodeError as error:
        return [_unknown(lane.name, _address(settings, lane), error.message) for lane in settings.lanes]


async def days_of(settings: Settings | None, address: Address, lamports: int) -> Forecast | None:
    """The forecast for a wallet that one of the lanes uses; None for any other."""
    lanes = [] if settings is None else [lane for lane in settings.lanes if _address(settings, lane) == address]
    if settings is None or not lanes:
        return None
    money = await _money(settings)
    return None if money is None else forecast(money, lanes[0].name, lamports, time.time())


def line_of(wallet: dict[str, Any]) -> str:
    """One line for people."""
    if wallet["lamports"] is None:
        return f"SOL of lane {wallet['lane']}: n/a ({wallet['reason']})"
    left = lasts(wallet["days"], wallet["daily"], wallet["reason"])
    return f"SOL of lane {wallet['lane']}: {amounts.sol(wallet['lamports'])}, {left}"


def lasts(days: float | None, daily: int | None, reason: str) -> str:
    """How long it lasts, for people."""
    if days is None or daily is None:
        return f"days left: n/a ({reason})"
    long = "more than 1,000" if days > 1_000 else f"about {days:,.0f}"
    return f"{long} days left at {amounts.sol(daily)} a day (an estimate: {reason})"


async def _money(settings: Settings) -> Money | None:
    now = time.time()
    try:
        return await agent_state.read_money(settings, int(now - SPAN), int(now) + 1)
    except GpunodeError:
        return None


async def _wallet(settings: Settings, lane: LaneSettings, money: Money | None, endpoint: Rpc) -> dict[str, Any]:
    address = _address(settings, lane)
    if address is None:
        return _unknown(lane.name, None, "its key file cannot be read")
    lamports = await endpoint.get_balance(address)
    if money is None:
        return {**_unknown(lane.name, address, "there is no journal yet"), "lamports": lamports}
    told = forecast(money, lane.name, lamports, time.time())
    return {
        "lane": lane.name,
        "address": address,
        "lamports": lamports,
        "days": told.days,
        "daily": told.daily,
        "reason": told.reason,
    }


def _unknown(lane: str, address: Address | None, reason: str) -> dict[str, Any]:
    return {"lane": lane, "address": address, "lamports": None, "days": None, "daily": None, "reason": reason}


def _address(settings: Settings, lane: LaneSettings) -> Address | None:
    from node.cli.wallet_file import read_wallet

    try:
        return read_wallet(settings, None, lane.name).address
    except GpunodeError:
        return None
