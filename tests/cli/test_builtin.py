"""Built-in jobs by name: listed, posted to a localnet, kept from any other chain, and no stand-in for a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.cli.job.builtin import ensure_runnable, posting
from node.errors import JobError, UsageError
from node.localnet import recipes
from tests.cli.conftest import MARKET, Chain, Shell


def test_they_are_listed(shell: Shell) -> None:
    answer = shell("job", "post", "--list")
    assert answer.status == 0
    for name in ("chat", "ocr", "spam", "speech"):
        assert f"\n{name} " in f"\n{answer.out}"
    listed = shell("job", "post", "--list", "--json").document
    assert [job["name"] for job in listed] == ["chat", "ocr", "spam", "speech"]
    assert all(set(job) == {"name", "summary", "model"} for job in listed)
    assert sum("trained while the image is built" in job["model"] for job in listed) == 2


def test_a_name_stands_for_its_definition() -> None:
    wish = posting(Path("ocr"))
    assert (wish.name, wish.builtin) == ("ocr.json", "ocr")
    assert json.loads(wish.body) == recipes.definition("ocr")


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ocr").write_text("{}")
    wish = posting(Path("ocr"))
    assert (wish.body, wish.name, wish.builtin) == (b"{}", "ocr", None)


def test_any_other_name_is_a_file_that_is_not_there() -> None:
    with pytest.raises(JobError, match="cannot be read"):
        posting(Path("ham"))


@pytest.mark.parametrize("cluster", ["devnet", "mainnet"])
async def test_no_other_chain_gets_them(cluster: str) -> None:
    with pytest.raises(UsageError, match="no other host can run it"):
        await ensure_runnable("spam", cluster)


@pytest.mark.docker
def test_one_is_posted(shell: Shell, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ("--wallet", chain.poster, *chain.flags)
    answer = shell(
        *("job", "post", "spam", "--market", chain.market, "--timeout", "60", "--content", chain.content_url),
        *flags,
        "--json",
    )
    assert answer.status == 0, answer.err
    tag = recipes.recipe("spam").tag
    assert tag in answer.err
    shown = shell("job", "get", answer.document["job"], "--content", chain.content_url, *chain.flags, "--json").document
    assert shown["market"] == chain.market
    assert shell("job", "stop", answer.document["job"], *flags).status == 0


@pytest.mark.parametrize("arguments", [(), ("spam",), ("--timeout", "60")])
def test_what_is_missing_is_said(shell: Shell, arguments: tuple[str, ...]) -> None:
    answer = shell("job", "post", *arguments, "--market", MARKET)
    assert answer.status == 2
    assert answer.err.startswith("error: posting needs ")
