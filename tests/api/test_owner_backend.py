"""The network's back end is told what this node does not do; nobody else is."""

from __future__ import annotations

from types import SimpleNamespace

from solders.keypair import Keypair

from node.api.owner import backend
from node.records import Address
from tests.api.conftest import Served

NOW = 1_734_307_200_000


async def asked(header: str | None, key: Keypair) -> tuple[int, str]:
    context = SimpleNamespace(now_ms=NOW)
    request = SimpleNamespace(headers={} if header is None else {backend.HEADER: header})
    answer = await backend.validate(context, request, (Address(str(Keypair().pubkey())), Address(str(key.pubkey()))))  # type: ignore[arg-type]
    return answer.status, str(answer.text)


async def test_the_back_end_is_told() -> None:
    key = Keypair()
    word = f"session:{key.sign_message(b'session')}"
    assert await asked(word, key) == (501, backend.NOT_OFFERED)
    assert await asked(f"{word}:{NOW - 299_000}", key) == (501, backend.NOT_OFFERED)
    assert await asked(f"{word}:{NOW - 300_000}", key) == (401, "Unauthorized Request: Authorization has expired.")
    assert await asked(word, Keypair()) == (401, "Unauthorized Request")
    assert (await asked(None, key))[0] == 401


async def test_nobody_else_is(served: Served) -> None:
    async with served.client.post("/node/validate", headers={backend.HEADER: "a:b"}) as answer:
        assert answer.status == 401
