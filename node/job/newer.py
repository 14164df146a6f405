"""Fields of a definition that newer versions of the network's validator know: `ssh`, `execution.timeout` and
`restart_on_failure` of health checks.

The models are those of version 2.1.6, which refuses these fields whatever they hold. Here they are taken out before
the models look, where they hold what newer versions want; what they hold otherwise keeps the older verdict.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from node.job.rules import is_flag, is_number

_DIGITS = re.compile(r"[A-Za-z0-9+/]*", re.ASCII)


def without_newer(document: Mapping[str, Any]) -> dict[str, Any]:
    """The definition without its well-formed newer fields."""
    kept = {key: value for key, value in document.items() if key != "ssh" or not is_ssh(value)}
    if isinstance(operations := kept.get("ops"), list):
        kept["ops"] = [_operation(operation) for operation in operations]
    return kept


def _operation(operation: Any) -> Any:
    if not isinstance(operation, dict):
        return operation
    kept = dict(operation)
    execution, args = kept.get("execution"), kept.get("args")
    if isinstance(execution, dict):
        kept["execution"] = _without(execution, "timeout", is_number(execution.get("timeout")))
    if isinstance(args, dict) and "expose" in args:
        kept["args"] = {**args, "expose": _expose(args["expose"])}
    return kept


def _expose(expose: Any) -> Any:
    return [_port(port) for port in expose] if isinstance(expose, list) else _port(expose)


def _port(port: Any) -> Any:
    if not isinstance(port, dict) or not isinstance(checks := port.get("health_checks"), list):
        return port
    return {**port, "health_checks": [_check(check) for check in checks]}


def _check(check: Any) -> Any:
    if not isinstance(check, dict):
        return check
    return _without(check, "restart_on_failure", is_flag(check.get("restart_on_failure")))


def _without(value: dict[str, Any], key: str, good: bool) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name != key} if good else value


def is_ssh(value: object) -> bool:
    """Whether a value is `{"public_keys": [...]}` with OpenSSH public keys, or with none.

    A text that is no such key could open no shell.
    """
    if not isinstance(value, dict) or not set(value) <= {"public_keys"}:
        return False
    keys = value.get("public_keys", [])
    return isinstance(keys, list) and all(isinstance(key, str) and is_public_key(key) for key in keys)


def is_public_key(line: str) -> bool:
    """Whether a text begins as an OpenSSH public key: a type, and base64 of a blob that begins with the same type."""
    words = line.split(maxsplit=2)
    if len(words) < 2:
        return False
    digits = "".join(_DIGITS.findall(words[1])[:1])
    blob = base64.b64decode(digits[: len(digits) // 4 * 4])
    kind = words[0].encode()
    head = len(kind).to_bytes(4, "big") + kind
    # Shortened keys, as manuals have them, pass; what is shorter than the type's length says nothing.
    return len(blob) > 4 and head.startswith(blob[: len(head)])
