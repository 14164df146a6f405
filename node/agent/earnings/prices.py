"""What a NOS and a SOL are worth: as the settings say, or as a source said that they name. Never guessed."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal

import httpx

from node.bounded_body import ACCEPTED, BodyRefused, read_body
from node.bounded_json import JsonRefused, read_json
from node.settings_earnings import MICRO, EarningsSettings, PriceSource, micro

log = logging.getLogger(__name__)

ANSWER_LIMIT = 64 * 1024
TIMEOUT = 5.0
HOUR = 3600.0
FILE = "prices.json"
"""In the data folder: the last answer of each source."""
HIGHEST = Decimal(10) ** 9
Token = Literal["NOS", "SOL"]


@dataclass(frozen=True, slots=True)
class Price:
    """What one token is worth. `micro`: millionths of the currency, None: not known. `origin`: for people."""

    micro: int | None
    origin: str
    taken: float | None = None
    """Unix seconds at which a source said so."""
    stale: bool = False
    """An older answer stands in because the source could not be read."""


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of both tokens."""

    nos: Price
    sol: Price


class PriceBook:
    """Reads prices. A source is asked when its last answer is no longer good, and never for longer than TIMEOUT."""

    def __init__(
        self,
        settings: EarningsSettings,
        folder: Path,
        now: Callable[[], float],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._file = folder / FILE
        self._now = now
        self._transport = transport
        self._failed: dict[str, float] = {}

    async def current(self) -> Prices:
        """The prices now. Never raises: what cannot be had is not known, and the price says why."""
        settings = self._settings
        return Prices(
            await self._one("NOS", settings.nos_price, settings.nos_source),
            await self._one("SOL", settings.sol_price, settings.sol_source),
        )

    async def _one(self, token: Token, fixed: float | None, source: PriceSource | None) -> Price:
        if source is None:
            return _fixed(token, fixed, "")
        now, key = self._now(), f"{token} {self._settings.currency} {source.url} {source.pointer}"
        kept = self._kept().get(key)
        if kept is not None and 0 <= now - kept[1] < source.every:
            return Price(kept[0], _said_by(source), kept[1])
        trouble = "it did not answer a moment ago"
        if now - self._failed.get(key, float("-inf")) >= min(source.every, 60.0):
            try:
                found = await self._ask(source)
            except _Silent as silent:
                trouble = str(silent)
                self._failed[key] = now
                log.warning("the price of %s cannot be read from %s: %s", token, _host(source), trouble)
            else:
                self._keep(key, found, now)
                return Price(found, _said_by(source), now)
        if kept is not None and 0 <= now - kept[1] < source.stale * HOUR:
            return Price(kept[0], f"{_said_by(source)}, which cannot be read now: {trouble}", kept[1], stale=True)
        return _fixed(token, fixed, f"; {_host(source)} cannot be read: {trouble}")

    async def _ask(self, source: PriceSource) -> int:
        """The price in millionths. Raises _Silent."""
        try:
            async with (
                httpx.AsyncClient(timeout=TIMEOUT, trust_env=False, transport=self._transport) as client,
                client.stream(
                    "GET", source.url, headers={"Accept": "application/json", "Accept-Encoding": ACCEPTED}
                ) as response,
            ):
                if response.status_code != httpx.codes.OK:
                    raise _Silent(f"it answers with status {response.status_code}")
                document = read_json(await read_body(response, ANSWER_LIMIT), limit=ANSWER_LIMIT)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _Silent(type(error).__name__) from None
        except (BodyRefused, JsonRefused) as error:
            raise _Silent(f"its answer is not read: {error}") from None
        return _number(_at(document, source.pointer))

    def _kept(self) -> dict[str, tuple[int, float]]:
        try:
            document = read_json(self._file.read_bytes(), limit=ANSWER_LIMIT)
            return {str(key): (int(value[0]), float(value[1])) for key, value in document.items()}
        except (OSError, JsonRefused, ValueError, LookupError, TypeError, AttributeError):
            # Not there, or spoilt: then nothing was said before.
            return {}

    def _keep(self, key: str, price: int, taken: float) -> None:
        known = {**self._kept(), key: (price, taken)}
        newest = dict(sorted(known.items(), key=lambda item: item[1][1])[-8:])
        with suppress(OSError):
            # Nothing depends on it but the next question. Beside and renamed, because command and agent both write it.
            handle, beside = tempfile.mkstemp(prefix=f".{FILE}.", dir=self._file.parent)
            with os.fdopen(handle, "w") as out:
                json.dump(newest, out)
            Path(beside).replace(self._file)


class _Silent(Exception):
    """A source that says nothing of use."""


def _fixed(token: Token, fixed: float | None, why: str) -> Price:
    if fixed is None:
        return Price(None, f"the price of {token} is not known: set earnings.{token.lower()}_price{why}")
    return Price(micro(fixed), f"the settings{why}")


def _at(document: Any, pointer: str) -> Any:
    """What a JSON pointer leads to. Raises _Silent."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        try:
            document = document[int(name)] if isinstance(document, list) else document[name]
        except (LookupError, ValueError, TypeError):
            raise _Silent(f"its answer has nothing at {pointer}") from None
    return document


def _number(value: Any) -> int:
    """Millionths of a price, which may be a number or a text. Raises _Silent."""
    try:
        price = Decimal(value if isinstance(value, str) and len(value) < 64 else repr(value))
    except InvalidOperation:
        price = Decimal("NaN")
    if isinstance(value, bool) or not price.is_finite() or not 0 < price < HIGHEST or round(price * MICRO) == 0:
        raise _Silent("what its answer has there is no price")
    return round(price * MICRO)


def _host(source: PriceSource) -> str:
    return httpx.URL(source.url).host or source.url


def _said_by(source: PriceSource) -> str:
    return _host(source)
