"""`gpunode job`: post jobs to a market and look after them, from any wallet on any cluster."""

from __future__ import annotations

import typer

from node.cli.job import change, get, list_own, plan, post, run, validate

group = typer.Typer(help="Post jobs to a market and look after them.", no_args_is_help=True)
group.command()(validate.validate)
group.command()(plan.plan)
group.command()(run.run)
group.command()(post.post)
group.command("list")(list_own.list_)
group.command()(get.get)
group.command()(change.extend)
group.command()(change.stop)
group.command()(change.recover)
group.command()(change.clean)
