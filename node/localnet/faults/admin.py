"""`localnet_faults`: faults over JSON-RPC. Answered to this machine only, and never touched by a fault itself.

`["set", FAULT, …]`: set faults, each an object with its `kind` and members (see `kinds.py`); all or none are set.

`["clear"]`, `["clear", ID, …]`: clear all, or those with these numbers.

`["list"]` or `[]`: nothing but the answer.

The answer is always `{"faults": […], "ended": […]}`: the faults that are set, and the newest that are over, each with
its members, its `id`, `hits` (how often it has happened) and, where there is a limit, `left`, `begins_in` and `ends_in`
(seconds).
"""

from __future__ import annotations

from typing import Any

from node.errors import LocalnetError
from node.localnet.faults.faults import Faults
from node.localnet.faults.reading import parse_fault
from node.localnet.rpc.context import Methods
from node.localnet.rpc.errors import INVALID_PARAMS, RpcError, invalid_params
from node.localnet.rpc.params import Params


class FaultMethods:
    """The admin call."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def table(self) -> Methods:
        """Methods by name, for this machine only."""
        return {"localnet_faults": self.change}

    def change(self, params: Params) -> Any:
        """Set, clear or list faults."""
        verb = params.get(0)
        given = [params.get(index) for index in range(1, len(params))]
        try:
            if verb == "set":
                self._faults.set_all([parse_fault(each) for each in given])
            elif verb == "clear":
                self._clear(given)
            elif verb not in (None, "list"):
                raise invalid_params("Invalid params: expected `set`, `clear` or `list`.")
        except LocalnetError as error:
            raise RpcError(INVALID_PARAMS, error.message, {"hint": error.hint}) from None
        return self._faults.describe()

    def _clear(self, numbers: list[Any]) -> None:
        if not all(type(number) is int for number in numbers):
            raise invalid_params("Invalid params: faults are named by their numbers.")
        if not numbers:
            self._faults.clear()
        for number in numbers:
            self._faults.clear(number)
