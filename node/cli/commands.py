"""Which commands there are, in the order and under the headings that `gpunode --help` shows."""

from __future__ import annotations

import typer

from node.cli import (
    bench,
    bundle,
    completion,
    demo,
    doctor,
    drain,
    earnings,
    firewall,
    gpus,
    init,
    job,
    jobs,
    localnet,
    logs,
    market,
    pause,
    register,
    resume,
    run,
    stake,
    status,
    stop,
    verify,
    wallet,
)
from node.cli.options import CHAIN, EARN, JOBS, RUNNING, TRY


def attach(app: typer.Typer) -> None:
    """Add every command to the app."""
    app.command(rich_help_panel=EARN)(init.init)
    app.command(rich_help_panel=EARN)(doctor.doctor)
    app.add_typer(firewall.group, name="firewall", rich_help_panel=EARN)
    app.command(rich_help_panel=EARN)(run.run)
    app.command(rich_help_panel=RUNNING)(status.status)
    app.add_typer(jobs.group, name="jobs", rich_help_panel=RUNNING)
    app.command(rich_help_panel=RUNNING)(earnings.earnings)
    app.command(rich_help_panel=RUNNING)(logs.logs)
    app.command(rich_help_panel=RUNNING)(bundle.bundle)
    app.command(rich_help_panel=RUNNING)(gpus.gpus)
    app.add_typer(bench.group, name="bench", rich_help_panel=RUNNING)
    app.command(rich_help_panel=RUNNING)(drain.drain)
    app.command(rich_help_panel=RUNNING)(pause.pause)
    app.command(rich_help_panel=RUNNING)(resume.resume)
    app.command(rich_help_panel=RUNNING)(stop.stop)
    app.add_typer(market.group, name="market", rich_help_panel=CHAIN)
    app.add_typer(register.group, name="register", rich_help_panel=CHAIN)
    app.add_typer(stake.group, name="stake", rich_help_panel=CHAIN)
    app.add_typer(wallet.group, name="wallet", rich_help_panel=CHAIN)
    app.add_typer(job.group, name="job", rich_help_panel=JOBS)
    app.command(rich_help_panel=JOBS)(verify.verify)
    app.command(rich_help_panel=TRY)(demo.demo)
    app.add_typer(localnet.group, name="localnet", rich_help_panel=TRY)
    app.command(rich_help_panel=TRY)(completion.completion)
