"""Keys out of a seed, by published vectors and by another implementation."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.keypair import Keypair

from node.chain import keyfile, seedfile
from node.chain.derivation import ACCOUNTS, Seed, derived, entropy_of, stretched, words_of
from node.chain.keyfile import nobody_to_ask
from node.chain.wallet import Wallet
from node.errors import WalletError

# SLIP-0010, test vectors 1 and 2 for ed25519: path, chain code, private key.
ONE = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
TWO = bytes.fromhex(
    "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a2"
    "9f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542"
)
SLIP = [
    (ONE, (), "", "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7"),
    (
        ONE,
        (0,),
        "8b59aa11380b624e81507a27fedda59fea6d0b779a778918a2fd3590e16e9c69",
        "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3",
    ),
    (
        ONE,
        (0, 1, 2),
        "2e69929e00b5ab250f49c3fb1c12f252de4fed2c1db88387094a0f8c4c9ccd6c",
        "92a5b23c0b8a99e37d07df3fb9966917f5d06e02ddbd909c7e184371463e9fc9",
    ),
    (
        ONE,
        (0, 1, 2, 2, 1000000000),
        "68789923a0cac2cd5a29172a475fe9e0fb14cd6adb5ad98a3fa70333e7afa230",
        "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793",
    ),
    (
        TWO,
        (),
        "ef70a74db9c3a5af931b5fe73ed8e1a53464133654fd55e7a66f8570b8e33c3b",
        "171cb88b1b3c1db25add599712e36245d75bc65a1a5c9e18d76f9f2b1eab4012",
    ),
    (
        TWO,
        (0, 2147483647),
        "138f0b2551bcafeca6ff2aa88ba8ed0ed8de070841f0c4ef0165df8181eaad7f",
        "ea4f5bfe8694d8bb74b7b59404632fd5968b774ed545e810de9c32a4fb4192f4",
    ),
]
# Published by wallets' documentation and users: words, account, address at m/44'/501'/account'/0'.
WALLETS = [
    (
        "have work cattle cream victory just garden pilot lonely fiscal rough winner",
        0,
        "Bsw8DaAn7tb7n4AuP1WWVDS4BjEW3EVKnDwobqx8WYFC",
    ),
    (
        "have work cattle cream victory just garden pilot lonely fiscal rough winner",
        1,
        "B3GyLfJNL8mN4JNh6NNzCSKoYDGPh5cKsZ5sUd1bgCfB",
    ),
    (
        "pill tomorrow foster begin walnut borrow virtual kick shift mutual shoe scatter",
        1,
        "AWjbG5SH5VEay5ksZbGHHgJhYRhM1rsN5Z538cfFvs4a",
    ),
]
# BIP-39: entropy and words of its test vectors.
BIP39 = [
    ("00" * 16, "abandon " * 11 + "about"),
    ("7f" * 16, "legal winner thank year wave sausage worth useful legal winner thank yellow"),
    ("80" * 16, "letter advice cage absurd amount doctor acoustic avoid letter advice cage above"),
    ("ff" * 16, "zoo " * 11 + "wrong"),
    ("00" * 32, "abandon " * 23 + "art"),
]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyfile, "SCRYPT_N", 1 << 14)


@pytest.mark.parametrize(("seed", "path", "chain", "key"), SLIP)
def test_slip_0010(seed: bytes, path: tuple[int, ...], chain: str, key: str) -> None:
    made, code = derived(seed, path)
    assert made.hex() == key
    assert not chain or code.hex() == chain


@pytest.mark.parametrize(("words", "account", "address"), WALLETS)
def test_addresses_of_wallets(words: str, account: int, address: str) -> None:
    assert Seed.from_words(words).account(account).address == address


@pytest.mark.parametrize(("entropy", "words"), BIP39)
def test_bip_39(entropy: str, words: str) -> None:
    assert words_of(bytes.fromhex(entropy)) == words
    assert entropy_of(words) == bytes.fromhex(entropy)


def test_the_stretched_seed() -> None:
    # BIP-39 words of 16 zero bytes, without a passphrase (known to every wallet's tests).
    assert stretched("abandon " * 11 + "about").hex().startswith("5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70")


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([16, 20, 24, 28, 32]).flatmap(lambda n: st.binary(min_size=n, max_size=n)), st.integers(0, 255))
def test_as_another_implementation(entropy: bytes, account: int) -> None:
    words = words_of(entropy)
    assert entropy_of(words) == entropy
    other = Keypair.from_seed_and_derivation_path(stretched(words), f"m/44'/501'/{account}'/0'")
    assert Seed(entropy).account(account).address == str(other.pubkey())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("abandon " * 12, "do not belong together"),
        ("abandon " * 11 + "secretword", "words 12 are not in the English list"),
        ("abandon " * 10 + "about", "12, 15, 18, 21 or 24"),
        ("", "12, 15, 18, 21 or 24"),
    ],
)
def test_wrong_words_are_not_quoted(words: str, said: str) -> None:
    with pytest.raises(WalletError, match=said) as caught:
        Seed.from_words(words)
    assert "secretword" not in caught.value.line


def test_a_seed_is_not_shown() -> None:
    seed = Seed.new()
    assert repr(seed) == str(seed) == "Seed()"
    for act in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            act(seed)
    assert len(seed.words().split()) == 24


@pytest.mark.parametrize("phrase", [None, "eight letters and more"])
def test_files_of_seeds(tmp_path: Path, phrase: str | None) -> None:
    file, seed = tmp_path / "seed", Seed.new()
    first = seedfile.create(file, seed, phrase, keyfile.SCRYPT_N)
    assert file.stat().st_mode & 0o777 == 0o600
    for account in (0, 63, ACCOUNTS - 1):
        known = keyfile.read(file, account)
        assert (known.address, known.encrypted) == (seed.account(account).address, phrase is not None)
    assert first == keyfile.read(file, 0).address
    asked: list[str] = []

    def ask(address: str) -> str:
        asked.append(address)
        return phrase or ""

    opened: dict[Path, Seed] = {}
    wallets = [Wallet.load(file, ask, account, opened) for account in range(8)]
    assert [wallet.address for wallet in wallets] == [seed.account(account).address for account in range(8)]
    # Opening it takes a moment and 128 MiB: once is enough for all lanes.
    assert len(asked) == (0 if phrase is None else 1)
    with pytest.raises(WalletError, match="holds a seed, not a key"):
        keyfile.read(file)
    with pytest.raises(WalletError, match="out of range"):
        keyfile.read(file, ACCOUNTS)
    with pytest.raises(WalletError, match="exists already"):
        seedfile.create(file, seed, phrase, keyfile.SCRYPT_N)
    read = keyfile.read_seed(file)
    assert read is not None
    assert read.open(lambda _address: phrase or "").words() == seed.words()
    assert seed.words() not in repr(read) + repr(known)


def test_a_wrong_passphrase_and_a_changed_file(tmp_path: Path) -> None:
    file = tmp_path / "seed"
    seedfile.create(file, Seed.new(), "eight letters", keyfile.SCRYPT_N)
    with pytest.raises(WalletError, match="the passphrase is wrong"):
        keyfile.read(file, 3).open(lambda _address: "another one")
    with pytest.raises(WalletError, match="nothing says its passphrase"):
        keyfile.read(file, 3).open(nobody_to_ask)
    text = file.read_text()
    file.write_text(text.replace(keyfile.read(file, 1).address, keyfile.read(file, 2).address))
    with pytest.raises(WalletError, match="the passphrase is wrong, or the file is damaged"):
        keyfile.read(file, 1).open(lambda _address: "eight letters")


def test_a_key_file_is_no_seed(tmp_path: Path) -> None:
    for phrase in (None, "eight letters"):
        file = tmp_path / f"{phrase}.json"
        Wallet.create(file, phrase)
        with pytest.raises(WalletError, match="not a seed's file"):
            keyfile.read(file, 0)
        assert keyfile.read_seed(file) is None
