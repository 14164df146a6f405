"""Signs that a definition holds a secret. Definitions are public: anyone can read what a poster pins.

A guess by names and shapes, good enough for a warning. Findings never quote the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_NAMES = frozenset(
    [
        "token",
        "key",
        "apikey",
        "secret",
        "secrets",
        "password",
        "passwd",
        "passphrase",
        "pwd",
        "credential",
        "credentials",
        "auth",
        "jwt",
        "pat",
    ]
)
"""Words in a member's name that announce a secret: HF_TOKEN, accessKey, docker.password."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_HARMLESS = re.compile(r"|true|false|yes|no|none|null|[0-9.]{1,6}|%%.*%%|\$\{?\w+\}?", re.IGNORECASE | re.DOTALL)
"""Values that are none: empty, a switch, a small number, a literal filled in later, a variable."""
_SHAPES = (
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), "an AWS access key"),
    (re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----"), "a private key"),
    (re.compile(r"\bgh[opsur]_[A-Za-z0-9]{36}"), "a GitHub token"),
    (re.compile(r"\bhf_[A-Za-z0-9]{30,}"), "a Hugging Face token"),
    (re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"), "an API key"),
    (re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"), "a Slack token"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\."), "a JSON web token"),
    (re.compile(r"\b[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s:@]+@"), "a password in an address"),
    (re.compile(r"--?(?:api[-_]?key|token|password|secret)[= ]+[^\s%$-]\S{5,}", re.IGNORECASE), "a secret argument"),
    (re.compile(r"\[\s*(?:\d{1,3}\s*,\s*){63}\d{1,3}\s*\]"), "a Solana key"),
)


def find_secrets(document: Any) -> tuple[str, ...]:
    """Where a parsed definition seems to hold a secret, one line each: `$input.ops[0].args.env.HF_TOKEN: ...`."""
    found: dict[str, str] = {}
    for path, name, text in _texts(document, "$input", ""):
        shape = next((what for pattern, what in _SHAPES if pattern.search(text)), None)
        if shape is not None:
            found.setdefault(path, f"{path}: looks like {shape}")
        elif _names_secret(name) and not _HARMLESS.fullmatch(text.strip()):
            found.setdefault(path, f"{path}: by its name a secret")
    return tuple(found.values())


def _texts(value: Any, path: str, name: str) -> Iterator[tuple[str, str, str]]:
    """Path, member name and text of every string in the document."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, f"{path}.{key}", str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}[{index}]", name)
    elif isinstance(value, str):
        yield path, name, value


def _names_secret(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    return any(word in _NAMES for word in words)
