"""`gpunode job plan`: what would happen if a definition were run, without running it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli import output, place
from node.cli.options import JsonOption, SettingsOption
from node.cli.violations import violation_line

LONGEST = 100
"""Characters of a value that people are shown."""


def plan(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Definition; - is stdin.")],
    job: Annotated[
        str | None,
        typer.Option(
            "--job",
            metavar="ADDRESS",
            help="The job's address, of which ids of services are made; default: one that no job has.",
            show_default=False,
        ),
    ] = None,
    domain: Annotated[
        str | None,
        typer.Option(
            "--domain",
            metavar="FRP_DOMAIN",
            help="Below which services have their names; default: the settings' or the main network's.",
            show_default=False,
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store",
            metavar="FILE",
            help="Outputs of operations and facts of the job (JSON), for literals; they win over --job and --domain.",
            show_default=False,
        ),
    ] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what would happen if a definition were run, without running it.

    Of an invalid one, as far as that goes.

    The store's form: {"globalOpStore": {ID: {"host": TEXT, "endpoint": {PORT: HOST}, "deployment_endpoint": HOST,
    "results": {KEY: [TEXT, ...]}}}, "globalStore": {"job", "host", "project", "frps_address", "variables": {...}}}.

    JSON: `valid` and `errors` (`path`, `expected`, `value`), also of operations that no order suits; `groups` in the
    order they run (`name`, `operations`, `dependencies`: operation -> those it waits for); `operations` (`index`,
    `id`, `type`, `args` with literals filled in as far as known, `unresolved` literals, `error`: why it would fail,
    or null); `services` (`op_index`, `op_id`, `port` as written, `service_id`, `url`, `private`, `health_check`,
    `also`: other ids that lead to it; ids of private services are drawn anew each time); `resources` (`op_index`,
    `op_id`, `type`, `target`, what is fetched, `login`); `refused`: why this host's policy would not take the job, or
    null; `admitted`: whether it would be taken, as it would be also if valid by the older rules alone.
    """
    from node.errors import UsageError
    from node.job.preview import DOMAIN, JOB, Circumstances, preview
    from node.settings import PolicySettings

    if str(file) == "-" and str(store) == "-":
        raise UsageError("definition and store cannot both be stdin", hint="name a file for one of them")
    found = place.load_if_any(settings)
    circumstances = Circumstances(
        job=job or JOB,
        domain=domain or (found.service.domain(found.cluster) if found is not None else DOMAIN),
        store=_store(store),
        policy=found.policy if found is not None else PolicySettings(),
    )
    shown = preview(_document(file), circumstances)
    output.emit(shown, as_json, lambda: _show(shown))


def _document(file: Path) -> Any:
    from node.cli.job.files import read_definition
    from node.errors import JobError
    from node.job.text import parse_json

    body = read_definition(file)
    try:
        return parse_json(body)
    except JobError as error:
        raise JobError(f"{file}: {error.message}", hint=error.hint) from None


def _store(file: Path | None) -> Any:
    from node.job.store import Store

    return None if file is None else Store.from_json(_document(file))


def _show(shown: dict[str, Any]) -> None:
    print(f"{output.mark(shown['valid'])} {'valid' if shown['valid'] else 'invalid'}")
    for error in shown["errors"]:
        output.line(f"    {violation_line(error)}")
    by_id = {operation["id"]: operation for operation in shown["operations"]}
    for number, group in enumerate(shown["groups"], 1):
        output.line(f"{number}. group {group['name']}")
        for name in group["operations"]:
            waits = group["dependencies"].get(name)
            output.line(f"   {name}{' after ' + ', '.join(waits) if waits else ''}")
            _show_operation(by_id[name])
    for service in shown["services"]:
        kind = "private, drawn anew for each job" if service["private"] else service["url"]
        output.line(f"service of {service['op_id']}, port {service['port']}: {kind}")
    for resource in shown["resources"]:
        output.line(f"resource of {resource['op_id']}: {resource['type']} at {resource['target']}")
    if shown["refused"]:
        output.line(f"this host refuses it: {shown['refused']}")


def _show_operation(operation: dict[str, Any]) -> None:
    args = operation["args"] if isinstance(operation["args"], dict) else {}
    for key, value in args.items():
        # Logins are nobody else's business, and resources are listed below.
        if key not in ("authentication", "resources"):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            output.line(f"     {key}: {text if len(text) <= LONGEST else text[: LONGEST - 1] + '…'}")
    for literal in operation["unresolved"]:
        output.line(f"     not known yet: {literal}")
    if operation["error"]:
        output.line(f"     would fail: {operation['error']}")
