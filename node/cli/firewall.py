"""`gpunode firewall`: the packet filter that keeps jobs away from this host and its network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli import output
from node.cli.failure import ATTENTION
from node.cli.options import JsonOption, SettingsOption

if TYPE_CHECKING:
    from node.settings_network import NetworkSettings

group = typer.Typer(help="The packet filter between jobs and this host's network.", no_args_is_help=True)


@group.command()
def show(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Print the rules that are wanted, as `nft -f` loads them.

    JSON: `table`, `digest` (SHA-256 of the rules), `script`.
    """
    from node.container.egress.ruleset import FAMILY, TABLE, Rules

    rules = Rules.of(_network(settings))
    known = {"table": f"{FAMILY} {TABLE}", "digest": rules.digest, "script": rules.script()}
    output.emit(known, as_json, lambda: print(rules.script(), end=""))


@group.command()
def check(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """See whether the rules in place are those wanted.

    Exit status 3 where they are not.

    JSON: `presence` (`present`, `missing`, `different`), `detail`, `filter` (`required`, `off`), `jobs` (bridges of
    jobs that are there now).
    """
    from node.container.egress.bridges import job_bridges
    from node.container.egress.firewall import Presence
    from node.container.egress.fitting import network_firewall

    wanted = _network(settings)
    standing = network_firewall(wanted).check()
    known = {
        "presence": standing.presence.value,
        "detail": standing.detail,
        "filter": wanted.filter,
        "jobs": job_bridges(),
    }
    hint = "" if standing.presence is Presence.PRESENT else "; gpunode firewall install loads it"
    output.emit(known, as_json, lambda: output.line(f"{standing.reason}{hint}"))
    if standing.presence is not Presence.PRESENT:
        raise typer.Exit(ATTENTION)


@group.command()
def install(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Load the rules, unless they are there already.

    Needs root; the running agent does so by itself.

    JSON: `loaded` (false: they were there), `before` (`present`, `missing`, `different`).
    """
    from node.container.egress.firewall import Presence
    from node.container.egress.fitting import network_firewall

    before = network_firewall(_network(settings)).install()
    loaded = before.presence is not Presence.PRESENT
    known = {"loaded": loaded, "before": before.presence.value}
    said = f"{before.reason}: loaded" if loaded else "in place already, nothing was changed"
    output.emit(known, as_json, lambda: output.line(said))


@group.command()
def remove(
    force: Annotated[
        bool, typer.Option("--force", help="Also while networks of jobs are there: they reach your network then.")
    ] = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take the rules away.

    Needs root. An agent that runs with `network.filter: required` loads them again.

    JSON: `removed` (false: they were not there).
    """
    from node.container.egress.bridges import job_bridges
    from node.container.egress.fitting import network_firewall
    from node.errors import FilterError

    bridges = job_bridges()
    if bridges and not force:
        raise FilterError(
            f"jobs are running, or their networks are still there: {', '.join(bridges)}",
            hint="gpunode drain first; --force removes the rules all the same",
        )
    removed = network_firewall(_network(settings)).remove()
    output.emit({"removed": removed}, as_json, lambda: output.line("removed" if removed else "it was not there"))


def _network(option: Path | None) -> NetworkSettings:
    """The settings' rules; the default ones where there are no settings yet."""
    from node.cli import place
    from node.settings_network import NetworkSettings

    loaded = place.load_if_any(option)
    return loaded.network if loaded is not None else NetworkSettings()
