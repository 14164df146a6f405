"""`gpunode bundle` and `gpunode verify --bundle` as a user types them, without an agent and without a network."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from node.cli import bundle as module
from node.journal.journal import Journal
from node.settings import Settings
from tests.agent.bundled import MARK, settings_of, settled
from tests.cli.conftest import Shell
from tests.proof.test_receipt import JOB, KEY, NODE, OTHER, RUN, address


@pytest.fixture
def host(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings of a host that has run one job."""
    settings = settings_of(shell.home)
    shell.home.joinpath("main.json").write_text(json.dumps(list(bytes(KEY))))
    shell.home.joinpath("main.json").chmod(0o600)
    asyncio.run(_run_a_job(settings))
    file = shell.home / "node.yaml"
    file.write_text(yaml.safe_dump(json.loads(settings.model_dump_json(exclude_defaults=True))))
    monkeypatch.chdir(shell.home)
    return file


async def _run_a_job(settings: Settings) -> None:
    settings.locations.data.mkdir(parents=True)
    async with await Journal.open(settings.locations.journal) as journal:
        await settled(journal, settings)


def test_a_bundle_and_its_check(shell: Shell, host: Path) -> None:
    answer = shell("bundle", JOB.address, "--settings", host, "--json")
    assert answer.status == 0, answer.out + answer.err
    made = answer.document
    file = Path(f"{JOB.address}.bundle.json")
    assert (made["file"], made["bytes"]) == (str(file), file.stat().st_size)
    assert (made["job"], made["run"], made["node"], made["full"]) == (JOB.address, RUN.address, NODE, False)
    assert set(made["parts"]) == {"receipt", "settle", "card", "samples"}
    assert (made["missing"], made["left_out"]) == ([], ["definition", "result", "log", "words"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    checked = shell("verify", "--bundle", file, JOB.address, "--json")
    assert checked.status == 0
    known = checked.document
    assert (known["job"], known["ok"]) == (JOB.address, True)
    assert known["verified"]["settled"] is None
    assert known["verified"]["settle_signed"] is True
    assert {check["part"] for check in known["checks"]} >= {"bundle", "receipt", "chain", "host"}


def test_for_people(shell: Shell, host: Path) -> None:
    made = shell("bundle", RUN.address, "--settings", host, "-o", "b.json")
    assert "Left out, because it is the poster's: definition, result, log, words" in made.out
    assert "gpunode verify --bundle b.json" in made.out
    full = shell("bundle", RUN.address, "--settings", host, "-o", "f.json", "--full")
    assert full.status == 0, full.err
    assert "think of whom you give it to" in full.out
    assert "missing  definition: " in full.out
    checked = shell("verify", "--bundle", "f.json")
    assert checked.status == 0
    assert "Nothing failed, without a chain" in checked.out
    assert "whole_logs: 1 whole logs hash to the receipt's roots" in checked.out


def test_what_is_there_is_not_replaced_unasked(shell: Shell, host: Path) -> None:
    file = shell.home / "b.json"
    file.write_text("mine")
    refused = shell("bundle", JOB.address, "--settings", host, "-o", file)
    assert (refused.status, file.read_text()) == (2, "mine")
    assert "--force" in refused.err
    file.unlink()
    file.symlink_to(shell.home / "elsewhere")
    assert shell("bundle", JOB.address, "--settings", host, "-o", file).status == 2
    assert shell("bundle", JOB.address, "--settings", host, "-o", file, "--force").status == 0
    assert not file.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in shell.home.iterdir() if each.name.startswith(".b.json")] == []


def test_what_comes_to_be_there_meanwhile_is_not_replaced(
    shell: Shell, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = shell.home / "b.json"
    made = module._made

    async def slow(*arguments: Any) -> bytes:
        file.write_text("mine")
        return await made(*arguments)

    monkeypatch.setattr(module, "_made", slow)
    assert shell("bundle", JOB.address, "--settings", host, "-o", file).status == 2
    assert file.read_text() == "mine"


def test_where_nothing_can_be_written(shell: Shell, host: Path) -> None:
    answer = shell("bundle", JOB.address, "--settings", host, "-o", shell.home / "nowhere" / "b.json")
    assert answer.status == 1
    assert "cannot be written" in answer.err


def test_what_cannot_be_made(shell: Shell, host: Path) -> None:
    assert "no such job" in shell("bundle", address(99), "--settings", host).err
    assert shell("bundle", "../x", "--settings", host).status == 2
    other = shell.home / "other.json"
    other.write_text(json.dumps(list(bytes(OTHER))))
    other.chmod(0o600)
    answer = shell("bundle", JOB.address, "--settings", host, "--wallet", other)
    assert answer.status == 1
    assert "its key is not at hand" in answer.err
    assert not Path(f"{JOB.address}.bundle.json").exists()


def test_without_a_journal(shell: Shell) -> None:
    settings = shell.init()
    answer = shell("bundle", JOB.address, "--settings", settings)
    assert answer.status == 1
    assert "this host has run no such job" in answer.err


@pytest.fixture
def file(shell: Shell, host: Path) -> Path:
    made = shell.home / "made.json"
    assert shell("bundle", JOB.address, "--settings", host, "-o", made).status == 0
    return made


def test_a_changed_file_fails_and_the_place_is_told(shell: Shell, file: Path) -> None:
    body = bytearray(file.read_bytes())
    body[len(body) // 3] ^= 4
    file.write_bytes(bytes(body))
    answer = shell("verify", "--bundle", file, "--json")
    assert answer.status == 1
    (line,) = answer.document["checks"]
    assert (line["name"], line["ok"]) == ("bundle", False)
    assert line["detail"].split(":")[0].split(" ")[0] not in ("", "signature")
    assert "This bundle does not verify" in shell("verify", "--bundle", file).out


def test_another_job_than_asked_for(shell: Shell, file: Path) -> None:
    answer = shell("verify", address(99), "--bundle", file, "--json")
    assert answer.status == 1
    assert answer.document["verified"]["bundle_job"] is False


def test_wrong_uses(shell: Shell, file: Path) -> None:
    assert shell("verify").status == 2
    assert shell("verify", "--bundle", file, "--cluster", "nowhere").status == 2
    assert shell("verify", "--bundle", file, "--ids", "devnet").status == 2
    assert shell("verify", "--bundle", shell.home / "nothing").status == 1
    assert shell("verify", "--bundle", shell.home).status == 1


def test_from_standard_input(shell: Shell, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    assert shell("verify", "--bundle", "-").status == 0


def test_no_socket_is_opened_and_no_settings_are_read(
    shell: Shell, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the settings say, the check of a file asks nobody."""

    class Refused(Exception):
        pass

    def refuse(*_: Any, **__: Any) -> None:
        raise Refused

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("GPUNODE_SETTINGS", str(shell.home / "there-are-none.yaml"))
    assert shell("verify", "--bundle", file).status == 0
    with pytest.raises(Refused):
        socket.create_connection(("127.0.0.1", 9))


def test_nothing_of_the_posters_is_in_the_file(shell: Shell, file: Path) -> None:
    import base64

    payload = base64.b64decode(json.loads(file.read_bytes())["payload"])
    assert MARK.encode() not in payload
    assert os.fsencode(shell.home) not in payload
