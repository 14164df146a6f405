"""`gpunode localnet faults`: make a running localnet fail on purpose."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from node.cli import output
from node.cli.localnet.options import DEFAULT_RPC, LocalnetOption
from node.cli.options import JsonOption
from node.errors import UsageError

group = typer.Typer(help="Make a running localnet fail on purpose.", no_args_is_help=True)
_LISTS = ("methods", "mentions", "subscriptions")


@group.command("set")
def set_faults(
    fault: Annotated[
        list[str],
        typer.Argument(
            help="A kind and its members, such as: 429 methods=getSlot,getBalance count=3; or JSON, or a JSON file.",
            metavar="KIND [NAME=VALUE]... | JSON | FILE",
            show_default=False,
        ),
    ],
    rpc: LocalnetOption = DEFAULT_RPC,
    as_json: JsonOption = False,
) -> None:
    """Set a fault.

    Kinds: 429, delay, error, http, cut, down (requests); drop, lose, late (transactions); mute, disconnect (sockets);
    stall, skip, lag, fork, expire (the chain). Any of them takes endpoint, after, lasts (seconds), count, share, seed.

    JSON: `ok`, `faults` (those set: `id`, `kind`, its members, `hits`, `left`, `begins_in`, `ends_in`), `ended`.
    """
    _change(rpc, ["set", *_faults(fault)], as_json)


@group.command("list")
def list_faults(rpc: LocalnetOption = DEFAULT_RPC, as_json: JsonOption = False) -> None:
    """Show which faults are set, how often each has happened, and which are over.

    JSON: as for `set`.
    """
    _change(rpc, ["list"], as_json)


@group.command("clear")
def clear_faults(
    numbers: Annotated[
        list[int] | None, typer.Argument(help="Which; all if none is named.", metavar="[ID]...", show_default=False)
    ] = None,
    rpc: LocalnetOption = DEFAULT_RPC,
    as_json: JsonOption = False,
) -> None:
    """End faults.

    JSON: as for `set`.
    """
    _change(rpc, ["clear", *(numbers or [])], as_json)


def _faults(words: list[str]) -> list[dict[str, Any]]:
    from node.localnet.faults.kinds import BY_NAME
    from node.localnet.faults.reading import fault_json, parse_fault, read_faults

    kind, *members = words
    if kind in BY_NAME:
        # Read here as well, so that what is wrong is said before the chain is asked.
        return [fault_json(parse_fault({"kind": kind, **dict(_member(word) for word in members)}))]
    if members:
        raise UsageError(f"there is no fault of the kind {kind!r}", hint=f"kinds: {', '.join(BY_NAME)}")
    return [fault_json(fault) for fault in read_faults(kind)]


def _member(word: str) -> tuple[str, Any]:
    name, equals, text = word.partition("=")
    if not equals:
        raise UsageError(f"{word!r} is not NAME=VALUE", hint="such as: count=3, or methods=getSlot,getBalance")
    if name in _LISTS and not text.startswith("["):
        return name, [_value(each) for each in text.split(",")]
    return name, _value(text)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _change(rpc: str, params: list[Any], as_json: bool) -> None:
    from node.cli import place
    from node.localnet.client import ask

    answer = place.run(ask(rpc, "localnet_faults", params))
    output.emit({"ok": True, **answer}, as_json, lambda: _show(answer))


def _show(answer: dict[str, Any]) -> None:
    rows = [_row(entry, "set") for entry in answer["faults"]] + [_row(entry, "over") for entry in answer["ended"]]
    output.table(("id", "", "kind", "members", "hits", "left", "ends in"), rows, "no faults")


def _row(entry: dict[str, Any], state: str) -> tuple[object, ...]:
    shown = ("id", "kind", "hits", "left", "begins_in", "ends_in")
    members = ", ".join(f"{name}={_text(value)}" for name, value in entry.items() if name not in shown)
    if "begins_in" in entry:
        state = f"in {entry['begins_in']:.1f} s"
    ends = f"{entry['ends_in']:.1f} s" if "ends_in" in entry else None
    return entry["id"], state, entry["kind"], members, entry["hits"], entry.get("left"), ends


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
