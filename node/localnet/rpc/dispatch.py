"""JSON-RPC 2.0: one request or a batch in, the answer out."""

from __future__ import annotations

import json
import logging
from typing import Any

from node.errors import GpunodeError
from node.localnet.rpc.context import Methods
from node.localnet.rpc.envelope import Call, Unreadable, read_request
from node.localnet.rpc.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    RpcError,
)
from node.localnet.rpc.params import Params
from node.localnet.rpc.signatures import SIGNATURES

_log = logging.getLogger(__name__)
_ENCODER = json.JSONEncoder(separators=(",", ":"))


class Dispatcher:
    """Answers requests from a table of methods."""

    def __init__(self, methods: Methods) -> None:
        self._methods = methods

    def answer(self, body: bytes | str) -> str:
        """The response text for a request's text; empty where nothing in it asks for one."""
        try:
            request = read_request(body)
        except Unreadable:
            return dump(error_json(None, RpcError(PARSE_ERROR, "Parse error")))
        if isinstance(request, Call):
            answer = self.one(request)
            return "" if answer is None else dump(answer)
        answers = [answer for call in request if (answer := self.one(call)) is not None]
        return dump(answers) if answers else ""

    def one(self, call: Call) -> dict[str, Any] | None:
        """The response to one call; None for a notification."""
        if call.method is None:
            return error_json(call.identity, RpcError(INVALID_REQUEST, "Invalid request"))
        if not call.answered:
            return None
        if not call.versioned:
            unversioned = error_json(call.identity, RpcError(INVALID_REQUEST, "Unsupported JSON-RPC protocol version"))
            del unversioned["jsonrpc"]
            return unversioned
        try:
            return result_json(call.identity, self._call(call.method, call.params))
        except RpcError as error:
            return error_json(call.identity, error)
        except GpunodeError as error:
            return error_json(call.identity, RpcError(INTERNAL_ERROR, str(error), {"hint": error.hint}))
        except Exception:
            # The boundary of the server: a fault in one method must not end the chain.
            _log.exception("the method %s failed", call.method)
            return error_json(call.identity, RpcError(INTERNAL_ERROR, "Internal error"))

    def _call(self, name: str, params: Any) -> Any:
        method = self._methods.get(name)
        if method is None:
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        signature = SIGNATURES.get(name)
        if signature is not None:
            return method(Params(signature.read(params)))
        if params is not None and not isinstance(params, list):
            raise RpcError(INVALID_PARAMS, "`params` should be an array")
        return method(Params(params or []))


def result_json(identity: Any, result: Any) -> dict[str, Any]:
    """A response that succeeded; the id is given back as it came, text or number."""
    return {"jsonrpc": "2.0", "result": result, "id": identity}


def error_json(identity: Any, error: RpcError) -> dict[str, Any]:
    """A response that failed."""
    return {"jsonrpc": "2.0", "error": error.json(), "id": identity}


def dump(value: Any) -> str:
    """JSON without spaces."""
    return _ENCODER.encode(value)
