"""`gpunode job validate` and `gpunode job plan`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from node.job.exposure import public_id
from tests.cli.conftest import MARKET, Shell


def write(path: Path, **args: Any) -> Path:
    operation = {"type": "container/run", "id": "a", "args": {"image": "nginx", **args}}
    path.write_text(json.dumps({"version": "0.1", "type": "container", "ops": [operation]}))
    return path


def test_two_validators(shell: Shell, tmp_path: Path) -> None:
    newer = write(tmp_path / "newer.json", restart_policy="always")
    older = write(tmp_path / "older.json", expose="8000-8005")
    answer = shell("job", "validate", newer, older, "--json")
    assert answer.status == 1
    assert [(each["file"], each["valid"]) for each in answer.document] == [(str(newer), True), (str(older), False)]
    assert answer.document[1]["errors"] == [
        {"path": "$input.ops[0].args.expose", "expected": "string & TagBase<__type>", "value": "8000-8005"}
    ]
    answer = shell("job", "validate", "--compat", newer, older, "--json")
    assert answer.status == 1
    assert [each["valid"] for each in answer.document] == [False, True]
    assert shell("job", "validate", "--compat", older).status == 0


def test_a_plan_as_a_document(shell: Shell, tmp_path: Path) -> None:
    file = write(tmp_path / "job.json", expose=80, cmd="%%ops.z.results.x%% %%global.job%%")
    answer = shell("job", "plan", file, "--job", MARKET, "--domain", "frp.example", "--json")
    assert answer.status == 0
    (service,) = answer.document["services"]
    assert service["url"] == f"https://{public_id(0, '80', MARKET)}.frp.example"
    (operation,) = answer.document["operations"]
    assert operation["args"]["cmd"] == f"%%ops.z.results.x%% {MARKET}"
    assert operation["error"] == 'Unresolved literal: "%%ops.z.results.x%%" (opId="z", path="results.x")'
    store = tmp_path / "store.json"
    store.write_text(json.dumps({"globalOpStore": {"z": {"results": {"x": ["1"]}}}, "globalStore": {"job": "J"}}))
    answer = shell("job", "plan", file, "--job", MARKET, "--store", store, "--json")
    assert answer.document["operations"][0]["args"]["cmd"] == "1 J"
    assert answer.document["services"][0]["service_id"] == public_id(0, "80", "J")


def test_a_plan_for_people(shell: Shell, tmp_path: Path) -> None:
    login = {"docker": {"password": "hidden"}}
    resource = {"type": "HF", "repo": "o/n", "target": "/m", "accessToken": "hidden"}
    answer = shell("job", "plan", write(tmp_path / "x", expose=80, authentication=login, resources=[resource]))
    assert answer.status == 0
    assert "service of a, port 80: https://" in answer.out
    assert "resource of a: HF at /m" in answer.out
    assert "hidden" not in answer.out


def test_the_host_s_policy_is_asked(shell: Shell, tmp_path: Path) -> None:
    settings = shell.init()
    settings.write_text(settings.read_text() + "\npolicy:\n  deny_images: ['*nginx*']\n")
    file = write(tmp_path / "job.json")
    assert "denied" in shell("job", "plan", file, "--settings", settings, "--json").document["refused"]
    assert shell("job", "plan", file, "--json").document["refused"] is None


@pytest.mark.parametrize("text", ["", "{", "[1", "\xff"])
def test_what_is_no_document_is_an_error(shell: Shell, tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text, encoding="latin-1")
    answer = shell("job", "plan", file)
    assert answer.status == 1
    assert len(answer.err.strip().splitlines()) <= 2


def test_a_store_of_another_form_is_an_error(shell: Shell, tmp_path: Path) -> None:
    store = tmp_path / "store.json"
    store.write_text("[]")
    answer = shell("job", "plan", write(tmp_path / "x.json"), "--store", store)
    assert answer.status == 1
    assert "globalOpStore" in answer.err
    assert shell("job", "plan", "-", "--store", "-").status == 2
