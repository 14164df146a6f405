"""Settings of money: what energy costs here, what NOS and SOL are worth, and where earnings go."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from node.settings_section import Section, parse_address

MICRO = 1_000_000
"""Parts of one unit of the currency in which money is counted."""
DAY_MINUTES = 24 * 60


class TariffHours(Section):
    """A price for some hours of some days."""

    days: Literal["all", "weekdays", "weekend"] = "all"
    """`weekend`: Saturday and Sunday. An hour belongs to the day on which it lies."""
    start: str
    """`HH:MM`, a full quarter of an hour."""
    end: str
    """As `start`, up to 24:00; earlier than `start`: over midnight."""
    price: float = Field(ge=0, lt=1000)
    """Per kWh."""

    @field_validator("start", "end")
    @classmethod
    def _time(cls, value: str) -> str:
        minutes_of(value)
        return value

    def covers(self, minute: int, weekend: bool) -> bool:
        """Whether it holds in a minute of a day."""
        if (self.days == "weekdays" and weekend) or (self.days == "weekend" and not weekend):
            return False
        start, end = minutes_of(self.start), minutes_of(self.end)
        return start <= minute < end if start < end else minute >= start or minute < end


def minutes_of(text: str) -> int:
    """Minutes since midnight of `HH:MM`. Raises ValueError."""
    hours, colon, minutes = text.partition(":")
    if colon and hours.isascii() and hours.isdigit() and len(hours) <= 2 and minutes in ("00", "15", "30", "45"):
        found = int(hours) * 60 + int(minutes)
        if found <= DAY_MINUTES:
            return found
    raise ValueError("must be a time such as 07:00 or 23:30, at a full quarter of an hour")


class TariffSettings(Section):
    """What a kWh costs."""

    price: float | None = Field(default=None, ge=0, lt=1000)
    """Per kWh, in hours that `hours` does not name; None: not known."""
    hours: tuple[TariffHours, ...] = Field(default=(), max_length=96)
    """The first that fits counts."""


class PriceSource(Section):
    """Where the price of a token is read, as JSON over HTTP."""

    url: str
    pointer: str
    """Where the number stands in the answer (RFC 6901), such as /nosana/eur."""
    every: float = Field(default=900.0, ge=60)
    """Seconds for which an answer is good."""
    stale: float = Field(default=24.0, gt=0)
    """Hours after which an old answer is of no use any more."""

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("must be an http:// or https:// address")
        return url

    @field_validator("pointer")
    @classmethod
    def _pointer(cls, pointer: str) -> str:
        if pointer and not pointer.startswith("/"):
            raise ValueError("must be a JSON pointer such as /nosana/eur")
        return pointer


class EarningsSettings(Section):
    """How earnings are reckoned. What is left out is not known: figures that need it are not given."""

    currency: str = Field(default="EUR", pattern=r"^[A-Za-z]{2,8}$")
    """Name of the money in which prices here are meant."""
    zone: str | None = None
    """Time zone of days and of the tariff's hours (IANA, such as Europe/Amsterdam); None: this machine's."""
    tariff: TariffSettings = TariffSettings()
    carbon: float | None = Field(default=None, ge=0, lt=10_000)
    """Grams of CO2 equivalent per kWh."""
    nos_price: float | None = Field(default=None, gt=0, lt=1e9)
    """Of one NOS."""
    sol_price: float | None = Field(default=None, gt=0, lt=1e9)
    """Of one SOL."""
    nos_source: PriceSource | None = None
    """Where the price of NOS is read; what is set above stands in where it cannot be."""
    sol_source: PriceSource | None = None
    sol_days: float = Field(default=7.0, ge=0)
    """Days for which a wallet's SOL must last; with less there is a warning. 0: none."""
    sweep_to: str | None = None
    """Wallet that `gpunode wallet sweep` sends NOS to, where a lane has no `payout` of its own."""

    @field_validator("zone")
    @classmethod
    def _zone(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ZoneInfo(value)
            except (KeyError, ValueError, OSError):
                raise ValueError("must be a time zone such as Europe/Amsterdam or UTC") from None
        return value

    @field_validator("sweep_to")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return None if value is None else parse_address(value)


def micro(amount: float) -> int:
    """A number of units of the currency in millionths, rounded; exact for what a person writes."""
    return round(Decimal(repr(amount)) * MICRO)
