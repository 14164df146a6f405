"""Which lanes a group has: one for each GPU that was ever seen, with an account of its seed that stays.

The file `lanes.json` in the data folder says which account each GPU has. A GPU that is new takes the next one that is
free, and one that is gone keeps its own: so no lane's key changes when a GPU comes, goes or changes its slot.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from node.bounded_json import JsonRefused, read_json
from node.errors import SettingsError
from node.private_file import settle
from node.settings import LaneSettings, Settings
from node.settings_lanes import LaneGroupSettings, require_apart

FILE = "lanes.json"
_LIMIT = 1 << 20
_ACCOUNTS = 256

Places = Mapping[str, Mapping[str, int]]
"""By a group's name and a GPU's UUID: the account."""


def read_places(data: Path) -> Places:
    """What the data folder knows; nothing where there is no file yet. Raises SettingsError for one that is damaged."""
    file = data / FILE
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}", hint="look at its owner and mode") from None
    try:
        tree = read_json(raw, limit=_LIMIT, depth=4)
        return {
            str(name): {str(uuid): _account(number) for uuid, number in gpus.items()}
            for name, gpus in tree["groups"].items()
        }
    except (JsonRefused, KeyError, TypeError, AttributeError, ValueError):
        raise SettingsError(
            f"{file}: is damaged: it says which GPU has which account of the seed",
            hint="restore it, or write it anew: each GPU's UUID and the account that `gpunode wallet show` said",
        ) from None


def grown(settings: Settings, seen: Sequence[str], places: Places) -> Places:
    """The same with an account for each GPU that has none yet; `seen` are UUIDs in the order of the host.

    Raises SettingsError where a seed has no account left.
    """
    named = {
        uuid for lane in settings.lanes if lane.gpus != "all" for uuid in lane.gpus if not _is_made(lane, settings)
    }
    named |= {uuid for group in settings.lane_groups if group.gpus != "each" for uuid in group.gpus}
    known = {name: dict(gpus) for name, gpus in places.items()}
    for group in settings.lane_groups:
        own = known.setdefault(group.name, {})
        taken = {uuid for gpus in known.values() for uuid in gpus}
        wanted = [uuid for uuid in seen if uuid not in named] if group.gpus == "each" else list(group.gpus)
        for uuid in wanted:
            if uuid not in own and uuid not in taken:
                own[uuid] = _free_account(group, settings, known)
    return known


def write_places(data: Path, places: Places) -> None:
    """Make it durable, all or nothing. Raises SettingsError."""
    file = data / FILE
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = data / f".{FILE}.new"
        with beside.open("w", encoding="utf-8") as out:
            json.dump({"groups": places}, out, indent=1, sort_keys=True)
            out.flush()
        beside.replace(file)
        settle(data)
    except OSError as error:
        raise SettingsError(f"{file}: cannot be written: {error.strerror}", hint="look at the data folder") from None


def with_lanes(settings: Settings, places: Places) -> Settings:
    """The settings with the groups' lanes among the others. Raises SettingsError where lanes overlap."""
    names = {lane.name for lane in settings.lanes}
    made = [
        lane
        for group in settings.lane_groups
        for uuid, account in sorted(places.get(group.name, {}).items(), key=lambda each: each[1])
        if (lane := _lane(group, uuid, account)).name not in names
    ]
    lanes = (*settings.lanes, *made)
    try:
        require_apart(lanes)
    except ValueError as error:
        raise SettingsError(f"lanes: {error}", hint="see node.example.yaml on lanes and lane_groups") from None
    return settings.model_copy(update={"lanes": lanes})


def _lane(group: LaneGroupSettings, uuid: str, account: int) -> LaneSettings:
    return LaneSettings(
        name=f"{group.name}-{account}",
        wallet=group.wallet,
        passphrase_file=group.passphrase_file,
        account=account,
        market=group.market,
        gpus=(uuid,),
        payout=group.payout,
    )


def _is_made(lane: LaneSettings, settings: Settings) -> bool:
    """Whether the lane is one of a group's."""
    return any(lane.name == f"{group.name}-{lane.account}" for group in settings.lane_groups)


def _free_account(group: LaneGroupSettings, settings: Settings, known: Mapping[str, Mapping[str, int]]) -> int:
    seed = group.wallet.expanduser()
    used = {lane.account for lane in settings.lanes if lane.key[0] == seed}
    for other in settings.lane_groups:
        if other.wallet.expanduser() == seed:
            used |= set(known.get(other.name, {}).values())
    for account in range(group.first_account, _ACCOUNTS):
        if account not in used:
            return account
    raise SettingsError(
        f"lane_groups: {group.name}: the seed has no account left from {group.first_account} on",
        hint="make another seed: gpunode wallet new --seed FILE",
    )


def _account(number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < _ACCOUNTS:
        raise ValueError("no account")
    return number
