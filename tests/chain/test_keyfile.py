"""Encrypted key files, passphrases, and files that others can reach."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from node.chain import keyfile
from node.chain.keyfile import FORMAT, nobody_to_ask
from node.chain.passphrase import CREDENTIAL, PassphraseSource, read_passphrase, secrecy
from node.chain.secret import SecretKey
from node.chain.wallet import Wallet
from node.errors import WalletError
from node.private_file import read_private
from node.records import Address
from tests.chain.fakes import WALLET

KEY = SecretKey(WALLET)
PHRASE = "correct horse battery staple"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyfile, "SCRYPT_N", 1 << 14)


def says(text: str) -> keyfile.Asks:
    def ask(address: Address) -> str:
        assert address == KEY.address
        return text

    return ask


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    path = tmp_path / "sealed.json"
    keyfile.create(path, KEY, PHRASE)
    return path


def test_an_encrypted_key_opens_with_its_passphrase_only(sealed: Path) -> None:
    assert stat.S_IMODE(sealed.stat().st_mode) == 0o600
    raw = sealed.read_bytes()
    file = keyfile.read(sealed)
    assert (file.address, file.encrypted) == (KEY.address, True)
    assert Wallet.load(sealed, says(PHRASE)).address == KEY.address
    for wrong in ("", PHRASE + " ", PHRASE.upper(), "x" * 1024):
        with pytest.raises(WalletError, match="passphrase is wrong") as caught:
            file.open(says(wrong))
        assert caught.value.__cause__ is None
    with pytest.raises(WalletError, match="nothing says its passphrase"):
        Wallet.load(sealed)
    secret = bytes(WALLET)
    for form in (secret[:32], secret.hex().encode(), base64.b64encode(secret[:32]), str(WALLET).encode()):
        assert form not in raw


def test_one_letter_typed_in_two_ways_is_one(tmp_path: Path) -> None:
    keyfile.create(tmp_path / "a.json", KEY, "caf\u00e9 caf\u00e9")
    assert keyfile.read(tmp_path / "a.json").open(says("cafe\u0301 cafe\u0301")).address == KEY.address


def test_two_files_of_one_key_share_nothing_secret(tmp_path: Path) -> None:
    documents = []
    for name in ("a", "b"):
        keyfile.create(tmp_path / name, KEY, PHRASE)
        documents.append(json.loads((tmp_path / name).read_text()))
    one, two = documents
    assert one["secret"] != two["secret"]
    assert one["kdf"]["salt"] != two["kdf"]["salt"]
    assert one["cipher"]["nonce"] != two["cipher"]["nonce"]


def changed(document: dict[str, Any], way: str) -> dict[str, Any]:
    """The document with one value changed; `a.b=json`."""
    path, _, text = way.partition("=")
    *outer, last = path.split(".")
    here = document
    for name in outer:
        here = here[name]
    if text == "-":
        del here[last]
    else:
        here[last] = json.loads(text)
    return document


HOSTILE = [
    "kdf.n=1073741824",
    "kdf.n=1048576",
    "kdf.n=2",
    "kdf.n=0",
    "kdf.n=-16384",
    "kdf.n=16385",
    "kdf.n=true",
    "kdf.n=1e300",
    'kdf.n="16384"',
    "kdf.r=1000000",
    "kdf.r=0",
    "kdf.p=1000000",
    'kdf.salt=""',
    'kdf.salt="!!"',
    'kdf.name="argon2id"',
    "kdf.extra=1",
    "kdf=[]",
    "kdf=-",
    'cipher.name="none"',
    'cipher.nonce="AAAA"',
    'secret="AAAA"',
    "secret=null",
    'address="../../etc/passwd"',
    "address=5",
    "version=2",
    "version=1.0",
    "version=true",
    'format="other"',
    "more=1",
]


@pytest.mark.parametrize("way", HOSTILE)
def test_a_hostile_file_costs_nothing_and_is_refused(sealed: Path, way: str) -> None:
    document = changed(json.loads(sealed.read_text()), way)
    sealed.write_text(json.dumps(document))

    def never(_address: Address) -> str:
        raise AssertionError("a passphrase was asked for")

    with pytest.raises(WalletError):
        keyfile.read(sealed).open(never)


@pytest.mark.parametrize("name", ["address", "kdf.salt", "kdf.r", "cipher.nonce", "secret"])
def test_every_part_is_authenticated(sealed: Path, name: str) -> None:
    document = json.loads(sealed.read_text())
    other = {
        "address": json.dumps(str(SecretKey.from_seed(bytes(32)).address)),
        "kdf.r": "7",
        "kdf.salt": json.dumps(base64.b64encode(bytes(16)).decode()),
        "cipher.nonce": json.dumps(base64.b64encode(bytes(12)).decode()),
        "secret": json.dumps(base64.b64encode(bytes(48)).decode()),
    }
    sealed.write_text(json.dumps(changed(document, f"{name}={other[name]}")))
    with pytest.raises(WalletError, match="passphrase is wrong, or the file is damaged"):
        keyfile.read(sealed).open(lambda _address: PHRASE)


def test_the_key_changes_its_dress_in_place(tmp_path: Path) -> None:
    path = tmp_path / "id.json"
    keyfile.create(path, KEY, None)
    plain = path.read_text()
    old = path.open("rb")
    keyfile.rewrite(path, keyfile.read(path).open(nobody_to_ask), PHRASE)
    assert keyfile.read(path).encrypted
    # Who still holds the old file sees zeros.
    assert set(old.read()) == {0}
    old.close()
    keyfile.rewrite(path, keyfile.read(path).open(says(PHRASE)), "another passphrase")
    with pytest.raises(WalletError):
        keyfile.read(path).open(says(PHRASE))
    keyfile.rewrite(path, keyfile.read(path).open(says("another passphrase")), None)
    assert path.read_text() == plain
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["id.json"]


def test_what_fails_on_the_way_leaves_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "id.json"
    keyfile.create(path, KEY, None)
    before = path.read_text()

    def full(_self: Path, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(WalletError, match="No space left"):
        keyfile.rewrite(path, KEY, PHRASE)
    monkeypatch.undo()
    assert path.read_text() == before
    assert [each.name for each in tmp_path.iterdir()] == ["id.json"]
    with pytest.raises(WalletError, match="8 to 1024"):
        keyfile.rewrite(path, KEY, "short")
    os.link(path, tmp_path / "second")
    with pytest.raises(WalletError, match="second name"):
        keyfile.rewrite(path, KEY, PHRASE)
    assert path.read_text() == before == (tmp_path / "second").read_text()


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    keyfile.create(tmp_path / "real.json", KEY, None)
    (tmp_path / "link.json").symlink_to("real.json")
    keyfile.rewrite(tmp_path / "link.json", KEY, PHRASE)
    assert (tmp_path / "link.json").is_symlink()
    assert keyfile.read(tmp_path / "real.json").encrypted


# --- who else can reach a file ------------------------------------------------------------------------------


def test_a_folder_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    keyfile.create(folder / "id.json", KEY, None)
    folder.chmod(0o777)
    with pytest.raises(WalletError, match="everybody may write") as caught:
        keyfile.read(folder / "id.json")
    assert caught.value.hint == f"chmod o-w {folder}"
    (tmp_path / "link.json").symlink_to(folder / "id.json")
    with pytest.raises(WalletError, match="everybody may write"):
        keyfile.read(tmp_path / "link.json")
    # With the sticky bit nobody but its owner can replace the file.
    folder.chmod(0o1777)
    assert keyfile.read(folder / "id.json").address == KEY.address


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_somebody_elses_file_or_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    path = folder / "id.json"
    keyfile.create(path, KEY, None)
    os.chown(path, 4321, 4321)
    with pytest.raises(WalletError, match="belongs to user 4321"):
        keyfile.read(path)
    os.chown(path, 0, 0)
    os.chown(folder, 4321, 4321)
    with pytest.raises(WalletError, match="belongs to user 4321"):
        keyfile.read(path)
    # Root's own file may be read by a service's user; the other way round its owner could change it.
    monkey_uid = os.geteuid
    try:
        os.chown(folder, 0, 0)
        os.geteuid = lambda: 4321  # type: ignore[assignment]
        assert keyfile.read(path).address == KEY.address
    finally:
        os.geteuid = monkey_uid


def test_no_more_than_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * 100_000)
    path.chmod(0o600)
    assert len(read_private(path, limit=10, modes=frozenset({0o600}), what="key file")) == 11


# --- where a passphrase comes from --------------------------------------------------------------------------


def phrase_file(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def never(_prompt: str) -> str:
    raise AssertionError("the terminal was asked")


def test_the_first_place_is_believed(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir(0o700)
    file = phrase_file(tmp_path / "phrase", "from the file\n")
    environment = {"CREDENTIALS_DIRECTORY": str(credentials)}
    source = PassphraseSource("main", file, environment, never)
    assert (source(KEY.address), source.place) == ("from the file", file)
    phrase_file(credentials / CREDENTIAL, "for all lanes", 0o440)
    assert source(KEY.address) == "for all lanes"
    phrase_file(credentials / f"{CREDENTIAL}.main", "for this lane\r\n", 0o400)
    assert source(KEY.address) == "for this lane"
    assert PassphraseSource("other", file, environment, never)(KEY.address) == "for all lanes"
    # A broken place is an error, not a reason to look elsewhere.
    (credentials / f"{CREDENTIAL}.main").chmod(0o644)
    with pytest.raises(WalletError, match="0644"):
        source(KEY.address)


def test_a_person_is_asked_last(tmp_path: Path) -> None:
    asked: list[str] = []

    def type_it(prompt: str) -> str:
        asked.append(prompt)
        return "typed"

    source = PassphraseSource("main", None, {}, type_it)
    assert source(KEY.address) == "typed"
    assert asked == [f"Passphrase of {KEY.address}: "]
    with pytest.raises(WalletError, match="nothing says"):
        PassphraseSource("main", None, {}, lambda _prompt: None)(KEY.address)
    assert "typed at each start" in secrecy(True, source)
    assert secrecy(False, source) == "not encrypted"


@pytest.mark.parametrize("text", ["", "\n", "two\nlines", "x" * 1025, "x" * 10_000])
def test_what_is_no_passphrase(tmp_path: Path, text: str) -> None:
    with pytest.raises(WalletError, match="does not hold a passphrase") as caught:
        read_passphrase(phrase_file(tmp_path / "phrase", text))
    assert text[:9] not in caught.value.message or len(text) < 2
    with pytest.raises(WalletError, match="0640"):
        read_passphrase(phrase_file(tmp_path / "open", "good enough", 0o640))


def test_nothing_shows_the_key_or_the_passphrase(sealed: Path) -> None:
    file = keyfile.read(sealed)
    opened = file.open(says(PHRASE))
    assert FORMAT in sealed.read_text()
    shown = f"{file!r}{file}{opened!r}{opened}{[opened]}{PassphraseSource('main')!r}{file._content!r}"
    assert str(WALLET) not in shown
    assert json.loads(sealed.read_text())["secret"] not in shown
    assert "seed" not in shown
    assert vars_of(opened) == ["address"]


def vars_of(key: SecretKey) -> list[str]:
    return [name for name in dir(key) if not name.startswith("_") and not callable(getattr(key, name))]
