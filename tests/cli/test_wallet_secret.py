"""The wallet's commands that change its file, and that look at offered transactions."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

from node.chain import keyfile
from node.chain.addresses import token_account
from node.chain.clusters import localnet
from node.chain.instructions import jobs, tokens
from node.chain.transaction import Budget, compile_message, unsigned
from node.cli import wallet_review, wallet_secret
from node.records import Address, Cid
from tests.cli.conftest import Shell

BLOCKHASH = "4ruaGCyaofHWGxPFXFVjuEJCdfBGZ2wCtEx6LzdzVqtV"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyfile, "SCRYPT_N", 1 << 14)


def phrase(path: Path, text: str) -> Path:
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def test_a_wallet_is_encrypted_and_decrypted_in_place(shell: Shell, tmp_path: Path) -> None:
    file, one, two = tmp_path / "w.json", phrase(tmp_path / "1", "the first one"), phrase(tmp_path / "2", "the second")
    made = shell("wallet", "new", file, "--json").document
    before = file.read_text()
    answer = shell("wallet", "encrypt", "--wallet", file, "--passphrase-file", one, "--json")
    assert answer.status == 0, answer.err
    assert answer.document == {"wallet": str(file), "address": made["address"], "encrypted": True}
    assert json.loads(file.read_text())["address"] == made["address"]
    again = shell("wallet", "encrypt", "--wallet", file, "--passphrase-file", one)
    assert (again.status, "encrypted already" in again.err) == (2, True)
    # Without a terminal and without a file there is nothing to open it with.
    assert "nothing says its passphrase" in shell("wallet", "decrypt", "--wallet", file).err
    wrong = shell("wallet", "decrypt", "--wallet", file, "--old-passphrase-file", two)
    assert (wrong.status, "passphrase is wrong" in wrong.err) == (1, True)
    change = ("wallet", "change-passphrase", "--wallet", file, "--old-passphrase-file", one, "--passphrase-file", two)
    assert shell(*change).status == 0
    assert shell("wallet", "decrypt", "--wallet", file, "--old-passphrase-file", one).status == 1
    answer = shell("wallet", "decrypt", "--wallet", file, "--old-passphrase-file", two)
    assert (answer.status, "in clear now" in answer.out, "backups" in answer.out) == (0, True, True)
    assert file.read_text() == before
    assert "is not encrypted" in shell("wallet", "decrypt", "--wallet", file).err


def test_a_new_wallet_may_be_encrypted_at_once(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "w.json"
    assert "no terminal" in shell("wallet", "new", file, "--passphrase").err
    assert not file.exists()
    short = shell("wallet", "new", file, "--passphrase-file", phrase(tmp_path / "p", "short"))
    assert "8 to 1024" in short.err
    assert not file.exists()
    typed = iter(["typed twice over", "not the same", "typed twice over", "typed twice over"])
    monkeypatch.setattr("node.chain.passphrase.on_terminal", lambda _prompt: next(typed))
    assert "not the same" in shell("wallet", "new", file, "--passphrase").err
    assert shell("wallet", "new", file, "--passphrase").status == 0
    assert keyfile.read(file).open(lambda _address: "typed twice over").address


def test_a_lane_opens_its_wallet_by_its_settings(shell: Shell, tmp_path: Path) -> None:
    settings = shell.init()
    one = phrase(tmp_path / "phrase", "for this lane only")
    assert shell("wallet", "encrypt", "--settings", settings, "--passphrase-file", one).status == 0
    from node.agent.wiring import open_wallet
    from node.errors import WalletError
    from node.settings_source import load_settings

    with pytest.raises(WalletError, match="nothing says"):
        open_wallet(load_settings(settings).lanes[0])
    lane = load_settings(settings, overrides={"lanes.0.passphrase_file": "phrase"}).lanes[0]
    assert lane.passphrase_file == tmp_path / "phrase"
    assert open_wallet(lane).address == keyfile.read(lane.wallet).address


def test_the_passphrase_is_never_an_argument() -> None:
    import inspect

    for command in (wallet_secret.encrypt, wallet_secret.decrypt, wallet_secret.change_passphrase):
        names = inspect.signature(command).parameters
        assert all("passphrase" not in name or name.endswith("_file") for name in names)


# --- review -------------------------------------------------------------------------------------------------


def offered(made: VersionedTransaction, path: Path) -> Path:
    path.write_bytes(base64.b64encode(bytes(made)))
    return path


@pytest.mark.long
def test_an_offer_is_shown_and_signed_only_by_a_person(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = localnet()
    key = Keypair()
    me, friend = Address(str(key.pubkey())), Address(str(Keypair().pubkey()))
    wallet = tmp_path / "w.json"
    wallet.write_text(key.to_json())
    wallet.chmod(0o600)
    flags = ("--wallet", wallet, "--cluster", "localnet")
    pay = tokens.transfer_lamports(source=me, destination=friend, lamports=77)
    file = offered(unsigned(compile_message(me, [pay], BLOCKHASH, Budget(1_000, 1))), tmp_path / "offer")

    refused = shell("wallet", "review", file, *flags)
    assert refused.status == 3
    assert "refused" in refused.out
    assert "lamports 77" in refused.out
    assert friend in refused.out
    allowed = shell("wallet", "review", file, *flags, "--to", friend, "--json")
    assert (allowed.status, allowed.document["allowed"], allowed.document["kind"]) == (0, True, "transfer")
    assert "signed" not in allowed.document
    # Unattended: never.
    assert "only by a person" in shell("wallet", "review", file, *flags, "--to", friend, "--sign").err
    assert "only by a person" in shell("wallet", "review", "-", *flags, "--to", friend, "--sign").err

    monkeypatch.setattr(wallet_review.sys.stdin.__class__, "isatty", lambda _self: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda *_a, **_k: False)
    assert shell("wallet", "review", file, *flags, "--to", friend, "--sign").status == 1
    monkeypatch.setattr("typer.confirm", lambda *_a, **_k: True)
    signed = shell("wallet", "review", file, *flags, "--to", friend, "--sign")
    assert signed.status == 0, signed.err
    raw = base64.b64decode(signed.out)
    assert VersionedTransaction.from_bytes(raw).verify_with_results() == [True]
    # A yes does not help against the policy.
    answer = shell("wallet", "review", file, *flags, "--sign")
    assert (answer.status, "it is not signed" in answer.err, answer.out) == (1, True, "")

    stolen = jobs.finish(
        *(cluster,),
        **{"job": friend, "run": friend, "market": friend, "payer_run": friend, "payer_job": friend},
        authority=me,
        user=token_account(cluster, friend),
        result=Cid("QmVp8m3Uq1Cm6JJ3NsuTMSGLNnqXa1mC85uV7YxBREQ78p"),
    )
    file = offered(unsigned(compile_message(me, [stolen], BLOCKHASH, Budget(1_000, 1))), tmp_path / "stolen")
    assert shell("wallet", "review", file, *flags, "--sign").status == 1


def test_what_is_offered_cannot_drive_the_terminal(shell: Shell, tmp_path: Path) -> None:
    from node.chain.memo import memo

    wallet = tmp_path / "w.json"
    me = Address(shell("wallet", "new", wallet, "--json").document["address"])
    text = "\x1b[2Jlook\u202e away\x9b31m"
    file = offered(unsigned(compile_message(me, [memo(me, text)], BLOCKHASH, Budget(1_000, 1))), tmp_path / "o")
    for more in ((), ("--json",)):
        answer = shell("wallet", "review", file, "--wallet", wallet, "--cluster", "localnet", *more)
        assert answer.status == 0
        assert not {"\x1b", "\x9b", "\u202e"} & set(answer.out + answer.err)
        assert "look" in answer.out
    assert (
        "no Solana transaction" in shell(*("wallet", "review", wallet, "--wallet", wallet, "--cluster", "localnet")).err
    )
