"""The demo image: its recipe's hash, its definition, and that it is built, found again and does its work offline."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import time
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from node.errors import EngineUnavailable, LocalnetError
from node.job.definition import parse_definition
from node.localnet import images, recipes, rootfs
from tests.localnet.built_in_jobs import output_of, results_of


def copied_recipe(tmp_path: Path) -> recipes.Recipe:
    folder = tmp_path / "spam"
    shutil.copytree(recipes.JOBS / "spam", folder)
    return replace(recipes.recipe("spam"), folder=folder)


def test_the_tag_changes_with_what_the_image_holds(tmp_path: Path) -> None:
    recipe = copied_recipe(tmp_path)
    assert recipe.tag == recipes.recipe("spam").tag
    with (recipe.folder / "messages.json").open("a") as file:
        file.write("\n")
    assert recipe.tag != recipes.recipe("spam").tag
    assert recipe.packages_hash == recipes.recipe("spam").packages_hash


def test_the_tag_changes_with_the_interpreter() -> None:
    recipe = recipes.recipe("spam")
    other = replace(recipe, interpreter=replace(recipe.interpreter, version="3.11.99"))
    assert other.tag != recipe.tag


def test_the_tag_does_not_depend_on_the_definition_and_what_people_are_told(tmp_path: Path) -> None:
    recipe = copied_recipe(tmp_path)
    (recipe.folder / "job.json").write_text("{}")
    told = json.loads((recipe.folder / "recipe.json").read_text())
    (recipe.folder / "recipe.json").write_text(json.dumps({**told, "summary": "spam"}))
    assert recipe.tag == recipes.recipe("spam").tag
    (recipe.folder / "recipe.json").write_text(json.dumps({**told, "left_out": ["numpy/doc"]}))
    assert recipe.tag != recipes.recipe("spam").tag


def test_the_definition_names_the_image_and_asks_for_a_gpu() -> None:
    operation = recipes.definition("spam")["ops"][0]
    assert operation["args"]["image"] == recipes.recipe("spam").tag
    assert operation["args"]["gpu"] is True


def test_an_unknown_recipe_is_named() -> None:
    with pytest.raises(LocalnetError, match="no built-in job called 'ham'"):
        recipes.recipe("ham")


async def test_no_engine_is_said_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable) as caught:
        await images.ensure_image("spam", engine_url=f"unix://{tmp_path}/none.sock")
    assert "start Docker" in caught.value.hint
    assert str(tmp_path) in caught.value.message


@pytest.mark.parametrize("name", recipes.names())
def test_every_built_in_job_is_told_about_and_valid(name: str) -> None:
    about = recipes.about(name)
    assert about.summary[0] == about.summary[0].lower()
    assert "ship" in about.model
    assert 50 < about.fetched_mb < 200
    document = recipes.definition(name)
    parse_definition(json.dumps(document).encode())
    (operation,) = document["ops"]
    assert operation["args"]["image"] == recipes.recipe(name).tag
    for rule in operation.get("results", {}).values():
        re.compile(rule if isinstance(rule, str) else rule["regex"])


@pytest.mark.parametrize("name", recipes.names())
def test_every_file_of_a_recipe_is_copied_and_every_package_has_a_hash(name: str) -> None:
    folder = recipes.JOBS / name
    copied = set(re.findall(r"\S+\.\S+", re.findall(r"(?m)^COPY (.+) /app/$", (folder / "Dockerfile").read_text())[0]))
    told = {"Dockerfile", "job.json", "recipe.json", "requirements.lock"}
    assert copied == {path.name for path in recipes.recipe(name).files()} - told
    lock = (folder / "requirements.lock").read_text()
    for package in re.split(r"(?m)^(?=\S+==)", lock)[1:]:
        assert "--hash=sha256:" in package


def test_no_message_is_in_both_sets() -> None:
    document = json.loads((recipes.JOBS / "spam" / "messages.json").read_text())
    training, mailbox = document["training"], document["mailbox"]
    assert len(mailbox) == 60
    assert {m["label"] for m in training + mailbox} == {"spam", "ham"}
    assert not {m["body"] for m in training} & {m["body"] for m in mailbox}


def test_libraries_of_the_interpreter_are_found() -> None:
    found = rootfs.shared_libraries([rootfs.find_interpreter().executable])
    assert any(name.startswith("libc.so") for name in found)
    assert all(path.exists() for path in found.values())


def test_packed_roots_are_the_same_bytes_for_everybody(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "bin/tool").write_text("x")
    (root / "bin/tool").chmod(0o700)
    rootfs.pack_root(root, tmp_path / "one.tar")
    time.sleep(0.01)
    (root / "bin/tool").touch()
    rootfs.pack_root(root, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


@pytest.mark.long
@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_the_image_is_built_once_and_tells_spam_from_mail_offline(client: docker.DockerClient) -> None:
    image = await images.ensure_image("spam")
    again = await images.ensure_image("spam")
    assert not again.built
    assert (again.id, again.tag) == (image.id, image.tag)
    assert image.size < 400e6

    began = time.monotonic()
    lines = output_of(client, "spam")
    assert time.monotonic() - began >= 2.0
    matches = results_of("spam", lines)
    (device,) = matches["device"]
    assert "CPU" in device[0]
    ((accuracy, right, total),) = matches["accuracy"]
    assert int(total) == 60
    assert float(accuracy) == pytest.approx(int(right) / 60, abs=0.001)
    assert int(right) >= 54
    assert 20 <= len(matches["spam"]) <= 40
    ((rate,),) = matches["throughput"]
    assert float(rate) > 0


@pytest.mark.docker
def test_older_images_of_a_recipe_go_but_not_those_of_others_or_in_use(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    name = f"older-{secrets.token_hex(4)}"
    recipe = replace(recipes.recipe("spam"), name=name)
    other = f"gpunode-test/{name}:kept"
    ids = [imported(client, tmp_path / f"{number}", f"gpunode/{name}:{number}") for number in range(3)]
    held = client.api.create_container(ids[1], "true")
    try:
        client.api.tag(ids[0], "gpunode-test/" + name, "kept")
        client.api.tag(ids[2], f"gpunode/{name}", recipe.hash)
        client.api.remove_image(f"gpunode/{name}:2")
        said: list[str] = []
        images._forget_older(client, recipe, said.append)
        left = {tag for image in client.images.list() for tag in image.tags if name in tag}
        assert left == {other, f"gpunode/{name}:1", recipe.tag}
        assert said == [f"removed gpunode/{name}:0, of an earlier recipe"]
    finally:
        client.api.remove_container(held["Id"], force=True)
        for image_id in ids:
            client.api.remove_image(image_id, force=True)


def imported(client: docker.DockerClient, folder: Path, tag: str) -> str:
    """Id of a new image with one file in it."""
    folder.mkdir()
    (folder / "file").write_text(tag)
    rootfs.pack_root(folder, folder.with_suffix(".tar"))
    client.api.import_image(str(folder.with_suffix(".tar")), *tag.split(":"))
    return str(client.images.get(tag).id)
