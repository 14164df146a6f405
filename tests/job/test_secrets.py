"""What looks like a secret in a public definition."""

from __future__ import annotations

import pytest

from node.job.secrets import find_secrets


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_TOKEN", "abcdef"),
        ("API_KEY", "abcdef"),
        ("accessToken", "abcdef"),
        ("DB_PASSWORD", "hunter22"),
        ("SECRET_ACCESS_KEY", "wJalrXUtnFEMI"),
        ("PLAIN", "AKIAABCDEFGHIJKLMNOP"),
        ("PLAIN", "-----BEGIN OPENSSH PRIVATE KEY-----\nabc"),
        ("PLAIN", "https://user:pass@example.org/x"),
        ("PLAIN", str(list(range(64)))),
        ("PLAIN", "run --api-key=abcdefgh"),
        ("PLAIN", "ghp_" + "a" * 36),
    ],
)
def test_secrets_are_found_and_not_quoted(name: str, value: str) -> None:
    found = find_secrets({"ops": [{"args": {"env": {name: value}}}]})
    assert len(found) == 1
    assert found[0].startswith(f"$input.ops[0].args.env.{name}: ")
    assert value not in found[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_TOKEN", ""),
        ("HF_TOKEN", "%%ops.login.results.token%%"),
        ("HF_TOKEN", "$HF_TOKEN"),
        ("USE_AUTH", "true"),
        ("MAX_TOKENS", "4096"),
        ("MONKEY", "banana"),
        ("KEYBOARD", "qwerty"),
        ("MODEL", "sentence-transformers/all-MiniLM-L6-v2"),
        ("URL", "https://example.org/a:b@c"),
        ("CMD", "python3 --token-count 5"),
    ],
)
def test_ordinary_values_are_left_alone(name: str, value: str) -> None:
    assert find_secrets({"env": {name: value}, "cmd": ["echo", value]}) == ()
