"""`gpunode job get`: a job on the chain, and its result."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from node.cli import output
from node.cli.options import (
    ClusterOption,
    ContentOption,
    GatewayOption,
    IdsOption,
    JsonOption,
    RpcOption,
    SettingsOption,
)

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Address of the job.")]


def get(
    job: JobArgument,
    settings: SettingsOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    content: ContentOption = None,
    gateway: GatewayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a job on the chain, and its result.

    JSON: the job account (`address`, `definition_cid`, `result_cid`, `market`, `node`, `payer`, `project`, `price`,
    `timeout`, `time_start`, `time_end`, `state`), `phase` (queued, running, done, stopped), `run`, `cost` (micro-NOS),
    `result` and `result_error`.
    """
    from contextlib import aclosing

    from node.cli import place
    from node.cli.job import report
    from node.cli.job.content import library
    from node.cli.market import parse_address
    from node.cli.reach import reach, target
    from node.cli.spend import watching
    from node.market.poster import Poster
    from node.records import SYSTEM_PROGRAM

    address = parse_address(job)
    loaded = place.load_if_any(settings)

    async def read() -> dict[str, Any]:
        async with reach(target(loaded, cluster, ids, rpc)) as (chain, endpoint):
            known = report.job_document(await Poster(watching(SYSTEM_PROGRAM, chain, endpoint)).view(address))
            if known["result_cid"] is None:
                return {**known, "result": None, "result_error": None}
            async with aclosing(library(loaded, content, gateway, chain.name)) as source:
                return await report.with_result(known, source)

    known = place.run(read())
    output.emit(known, as_json, lambda: report.show(known))
