"""A whole agent with an encrypted wallet does a job, and the key is in nothing that it wrote, sent or said."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from solders.keypair import Keypair

from node.api.client import ControlClient
from node.chain import keyfile
from node.records import Cid
from tests.e2e.market_place import market_place, queued, settings_tree, settled, single, until
from tests.e2e.secrets import dresses, found, leaks

PHRASE = "a phrase that stays where it is"


def test_the_search_finds_each_dress(tmp_path: Path) -> None:
    import base64

    key = Keypair()
    secrets = list(dresses(key))
    assert len(secrets) > 12
    for offset in range(9):
        assert found(secrets, base64.b64encode(os.urandom(offset) + bytes(key) + os.urandom(7)))
    for text in (key.to_json(), str(key), repr(list(bytes(key))), f"x{bytes(key)!r}y"):
        (tmp_path / "one").write_text(text)
        assert leaks(secrets, tmp_path)
    assert not found(secrets, bytes(key.pubkey()) + str(key.pubkey()).encode() + os.urandom(10_000))


async def _answer(client: ControlClient) -> bool:
    try:
        return await queued(client)
    except Exception:  # it is still starting
        return False


@pytest.mark.long
@pytest.mark.docker
@pytest.mark.slow
async def test_the_key_is_in_nothing_that_the_agent_leaves(tmp_path: Path, busybox_image: str) -> None:
    place_folder, kept = tmp_path / "place", tmp_path / "kept"
    place_folder.mkdir()
    kept.mkdir(mode=0o700)
    async with market_place(place_folder) as place:
        file = place_folder / "node.json"
        key = Keypair.from_json(file.read_text())
        secrets = [*dresses(key), ("passphrase", PHRASE.encode())]
        phrase = kept / "phrase"
        phrase.write_text(PHRASE + "\n")
        phrase.chmod(0o600)
        keyfile.rewrite(file, keyfile.read(file).open(keyfile.nobody_to_ask), PHRASE)

        tree = settings_tree(place.net, place_folder)
        tree["lanes"][0]["passphrase_file"] = str(phrase)
        settings = place_folder / "node.yaml"
        settings.write_text(json.dumps(tree))
        command = [sys.executable, "-m", "node.cli", "run", "--settings", str(settings), "--verbose", "--json"]
        with (place_folder / "agent.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        said: list[bytes] = []
        try:
            async with ControlClient(place.settings.locations.control_socket) as client:
                await until(lambda: _answer(client))
                limits = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
                assert [line.split()[4:6] for line in limits if line.startswith("Max core")] == [["0", "0"]]
                said += [Path(f"/proc/{process.pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
                posted = await place.post(single(busybox_image, "env; cat /proc/self/mountinfo; echo done"))
                run = await settled(client, posted.job)
                assert run["settlement"]["kind"] == "finish"
                for answer in (
                    await client.status(),
                    await client.jobs(),
                    await client.job(posted.job),
                    await client.events(),
                ):
                    said.append(json.dumps(answer).encode())
                for cid in (run["result_cid"], run["receipt_cid"]):
                    said.append((await place.library.fetch(Cid(cid), 1 << 24)).body)
                for signature in await place.rpc.get_signatures_for_address(place.node, limit=50):
                    landed = await place.rpc.get_transaction(signature.signature)
                    said.append(repr(landed).encode())
        finally:
            process.terminate()
            await process.wait()
        for words in (["status"], ["doctor"], ["wallet", "show"], ["jobs", "show", posted.job], ["logs", posted.job]):
            for form in ([], ["--json"]):
                cli = [sys.executable, "-m", "node.cli", *words, "--settings", str(settings), *form]
                told = await asyncio.create_subprocess_exec(
                    *cli, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
                )
                said.append((await told.communicate())[0])
        assert len(said) > 15
        assert [names for each in said if (names := found(secrets, each))] == []
        assert (place_folder / "agent.log").stat().st_size > 0
        assert leaks(secrets, place_folder) == {}
        # The search itself finds it where it is.
        assert leaks(secrets, kept)
