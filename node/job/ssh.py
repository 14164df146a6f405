"""The `ssh` part of a definition: keys that may open a shell. Newer than the rest; this node offers no shell.

Validators that do not know the key refuse it whatever it holds. Here it is taken where a node that knows it could do
something with it: a list of OpenSSH public keys. What no shell would ever open to keeps the older verdict.
"""

from __future__ import annotations

import base64
import binascii


def is_ssh(value: object) -> bool:
    """Whether a value is `{"public_keys": [...]}` with OpenSSH public keys, or with none."""
    if not isinstance(value, dict) or not set(value) <= {"public_keys"}:
        return False
    keys = value.get("public_keys", [])
    return isinstance(keys, list) and all(isinstance(key, str) and is_public_key(key) for key in keys)


def is_public_key(line: str) -> bool:
    """Whether a text is an OpenSSH public key: a type, and base64 of a blob that begins with the same type."""
    words = line.split(maxsplit=2)
    if len(words) < 2:
        return False
    try:
        blob = base64.b64decode(words[1] + "=" * (-len(words[1]) % 4))
    except (binascii.Error, ValueError):
        return False
    kind = words[0].encode()
    return blob.startswith(len(kind).to_bytes(4, "big") + kind)
