"""The Solana JSON-RPC client: typed reads, simulation and sending.

Every read says at which commitment it looks and may demand a slot that the view must have reached. Retries are
declared here, beside the calls; what is worth one is RpcUnavailable and nothing else.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Self, TypeVar

import httpx

from node.chain import replies
from node.chain.accounts import RawAccount
from node.chain.clusters import DEVNET, TOKEN_PROGRAM
from node.chain.filters import Filter
from node.chain.horizon import Horizon
from node.chain.pool import PUBLIC_LIMITS, EndpointView, Pool
from node.chain.replies import (
    BlockSummary,
    Commitment,
    LandedTransaction,
    LatestBlockhash,
    Seen,
    SignatureInfo,
    SignatureStatus,
    Simulation,
)
from node.chain.standing import Limits
from node.chain.token_accounts import TokenAccount, decode_token_account
from node.chain.transport import NO_BLOCK
from node.errors import RpcBehind, RpcRejected, RpcUnavailable, WrongCluster
from node.loopback import DIRECT
from node.marks import Mark, marked
from node.records import Address, Signature
from node.retry import Clock, Retry, SystemClock

T = TypeVar("T")

READ = Retry(attempts=5, total=20.0, first=0.25)
"""Reads: harmless to repeat."""
SEND = Retry(attempts=2, total=5.0, first=0.2)
"""Sending: the outbox sends the same bytes again anyway."""
ONCE = Retry(attempts=1, total=0.0)
ACCOUNTS_PER_CALL = 100
"""What getMultipleAccounts takes."""
SIGNATURES_PER_CALL = 256


class Rpc:
    """One cluster over one or more endpoints.

    Raises RpcUnavailable when no endpoint answered in time, RpcRejected for an error that a retry will not change,
    and TransactionFailed where a preflight refused a transaction.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        commitment: Commitment = "confirmed",
        timeout: float = 15.0,
        clock: Clock | None = None,
        client: httpx.AsyncClient | None = None,
        limits: Limits | None = PUBLIC_LIMITS,
    ) -> None:
        """`limits`: what each endpoint that is not on this machine may be asked; None: anything."""
        self._clock = clock or SystemClock()
        self._client = client or httpx.AsyncClient(follow_redirects=False, mounts=DIRECT)
        self._owns_client = client is None
        self._pool = Pool(urls, self._client, timeout, self._clock, limits)
        self._horizon = Horizon()
        self._commitment = commitment
        self._floor: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections (those of a client given from outside stay open)."""
        if self._owns_client:
            await self._client.aclose()

    async def run(self) -> NoReturn:
        """Keep looking at the endpoints, for as long as the agent runs. Without it they are judged by use alone."""
        await self._pool.run()

    @property
    def endpoints(self) -> tuple[EndpointView, ...]:
        """How each endpoint stands."""
        return self._pool.views()

    @property
    def answered_at(self) -> float:
        """Monotonic seconds of the last answer of any endpoint; minus infinity: none yet."""
        return self._pool.answered_at

    def trust_only(self, genesis: str) -> None:
        """From here on ask no endpoint that serves another chain."""
        self._pool.genesis = genesis

    def pinned(self, commitment: Commitment, min_context_slot: int | None = None) -> Rpc:
        """The same endpoints, read at this commitment and from no view older than this slot unless a call says."""
        view = object.__new__(Rpc)
        view.__dict__.update(self.__dict__)
        view._owns_client = False
        view._commitment = commitment
        view._floor = min_context_slot
        return view

    # --- accounts -------------------------------------------------------------------------------------

    async def get_account(
        self, address: Address, *, commitment: Commitment | None = None, min_context_slot: int | None = None
    ) -> RawAccount | None:
        """The account, or None. Its `slot` is the view's."""
        return (await self.read_accounts([address], commitment, min_context_slot)).value[0]

    async def get_accounts(
        self,
        addresses: Sequence[Address],
        *,
        commitment: Commitment | None = None,
        min_context_slot: int | None = None,
    ) -> tuple[RawAccount | None, ...]:
        """The accounts in the order asked for, None where there is none. Up to 100 are read in one view."""
        return (await self.read_accounts(addresses, commitment, min_context_slot)).value

    async def read_accounts(
        self,
        addresses: Sequence[Address],
        commitment: Commitment | None = None,
        min_context_slot: int | None = None,
    ) -> Seen[tuple[RawAccount | None, ...]]:
        """As `get_accounts`, with the slot of the (oldest) view, which also holds for accounts that are missing."""
        config = self._config(commitment, min_context_slot, encoding="base64")
        found: list[RawAccount | None] = []
        slots: list[int] = []
        for start in range(0, len(addresses), ACCOUNTS_PER_CALL):
            part = addresses[start : start + ACCOUNTS_PER_CALL]
            seen = await self._seen("getMultipleAccounts", [list(part), config], replies.accounts_parser(part))
            found += seen.value
            slots.append(seen.slot)
        return Seen(tuple(found), min(slots, default=0))

    async def get_program_accounts(
        self,
        program: Address,
        filters: Sequence[Filter] = (),
        *,
        commitment: Commitment | None = None,
        min_context_slot: int | None = None,
    ) -> tuple[RawAccount, ...]:
        """A program's accounts that pass all filters."""
        return (await self.read_program_accounts(program, filters, commitment, min_context_slot)).value

    async def read_program_accounts(
        self,
        program: Address,
        filters: Sequence[Filter] = (),
        commitment: Commitment | None = None,
        min_context_slot: int | None = None,
    ) -> Seen[tuple[RawAccount, ...]]:
        """As `get_program_accounts`, with the slot of the view, which holds for "none" as well."""
        config = self._config(
            commitment,
            min_context_slot,
            encoding="base64",
            withContext=True,
            filters=[each.json() for each in filters],
        )
        return await self._seen("getProgramAccounts", [program, config], replies.keyed_accounts)

    async def get_balance(
        self, address: Address, *, commitment: Commitment | None = None, min_context_slot: int | None = None
    ) -> int:
        """Lamports of an account; 0 where there is none."""
        config = self._config(commitment, min_context_slot)
        return (await self._seen("getBalance", [address, config], replies.valued(replies.integer))).value

    async def get_token_amount(
        self, account: Address, *, commitment: Commitment | None = None, min_context_slot: int | None = None
    ) -> int:
        """What a token account holds, in the mint's smallest unit; 0 where there is none.

        Raises AccountMalformed for an account that is no token account.
        """
        raw = await self.get_account(account, commitment=commitment, min_context_slot=min_context_slot)
        return 0 if raw is None else decode_token_account(raw, DEVNET).amount

    async def get_token_accounts(
        self,
        owner: Address,
        mint: Address | None = None,
        *,
        commitment: Commitment | None = None,
        min_context_slot: int | None = None,
    ) -> tuple[TokenAccount, ...]:
        """The owner's token accounts, of one mint or of all."""
        which = {"programId": TOKEN_PROGRAM} if mint is None else {"mint": mint}
        config = self._config(commitment, min_context_slot, encoding="base64")
        seen = await self._seen("getTokenAccountsByOwner", [owner, which, config], replies.keyed_accounts)
        return tuple(decode_token_account(raw, DEVNET) for raw in seen.value)

    async def get_minimum_rent(self, size: int) -> int:
        """Lamports that keep an account of `size` bytes for good."""
        return await self._ask("getMinimumBalanceForRentExemption", [size], replies.integer)

    # --- the chain --------------------------------------------------------------------------------------

    async def get_slot(self, *, commitment: Commitment | None = None, min_context_slot: int | None = None) -> int:
        """The newest slot at the commitment."""
        config = self._config(commitment, min_context_slot)

        def parse(answer: Any) -> Seen[int]:
            slot = replies.integer(answer)
            return Seen(slot, slot)

        return (await self._seen("getSlot", [config], parse)).value

    async def get_block_height(
        self, *, commitment: Commitment | None = None, min_context_slot: int | None = None
    ) -> int:
        """How many blocks there are at the commitment (slots without a block do not count)."""
        return await self._ask("getBlockHeight", [self._config(commitment, min_context_slot)], replies.integer)

    async def get_latest_blockhash(
        self, *, commitment: Commitment | None = None, min_context_slot: int | None = None
    ) -> LatestBlockhash:
        """A blockhash to sign with."""
        config = self._config(commitment, min_context_slot)

        def parse(answer: Any) -> Seen[LatestBlockhash]:
            latest = replies.latest_blockhash(answer)
            return Seen(latest, latest.slot)

        return (await self._seen("getLatestBlockhash", [config], parse)).value

    async def get_genesis_hash(self) -> str:
        """What tells one chain from another."""
        return await self._ask("getGenesisHash", [], replies.text)

    async def require_genesis(self, expected: str) -> None:
        """Raise WrongCluster unless the endpoint serves the chain with this genesis hash."""
        found = await self.get_genesis_hash()
        if found != expected:
            raise WrongCluster(
                f"the endpoint serves the chain with genesis {found}, expected was {expected}",
                hint="Check `cluster` and `rpc.urls` in the settings.",
            )

    async def get_block_time(self, slot: int) -> int | None:
        """Unix seconds of a block; None where it is not known."""
        return await self._ask("getBlockTime", [slot], replies.optional_integer)

    async def get_block(self, slot: int, *, commitment: Commitment | None = None) -> BlockSummary | None:
        """A block without its transactions; None where the slot has none or the endpoint no longer holds it."""
        config = {
            "commitment": commitment or self._commitment,
            "transactionDetails": "none",
            "rewards": False,
            "maxSupportedTransactionVersion": 0,
        }

        def parse(value: Any) -> BlockSummary | None:
            if value is None:
                return None
            return BlockSummary(
                slot=slot,
                blockhash=replies.text(value["blockhash"]),
                height=replies.optional_integer(value.get("blockHeight")),
                time=replies.optional_integer(value.get("blockTime")),
            )

        try:
            return await self._ask("getBlock", [slot, config], parse)
        except RpcRejected as error:
            if error.code in NO_BLOCK:
                return None
            raise

    async def prioritization_fees(self, writable: Sequence[Address]) -> tuple[int, ...]:
        """Micro-lamports per compute unit that recently landed transactions paid for these accounts, per slot."""

        def parse(value: Any) -> tuple[int, ...]:
            return tuple(replies.integer(each["prioritizationFee"]) for each in value)

        return await self._ask("getRecentPrioritizationFees", [list(writable)[:128]], parse)

    # --- transactions -------------------------------------------------------------------------------------

    async def simulate(self, wire: bytes, *, min_context_slot: int | None = None) -> Simulation:
        """What the transaction would do now; neither signatures nor blockhash are checked."""
        config = self._config(None, min_context_slot, encoding="base64", sigVerify=False, replaceRecentBlockhash=True)
        return await self._ask("simulateTransaction", [_b64(wire), config], replies.simulation)

    async def send_raw(self, wire: bytes) -> Signature:
        """Hand signed bytes to all endpoints, as they are: no preflight and no resending by them."""
        config = {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}
        with marked(Mark.CHAIN_SEND):
            return Signature(
                await SEND.call(
                    lambda: self._pool.call_all("sendTransaction", [_b64(wire), config], replies.text),
                    on=(RpcUnavailable,),
                    clock=self._clock,
                )
            )

    async def get_signature_statuses(
        self, signatures: Sequence[Signature], *, search_history: bool = False
    ) -> tuple[SignatureStatus | None, ...]:
        """Where signatures stand, None where one is not known. `search_history` looks beyond the last minutes."""
        found: list[SignatureStatus | None] = []
        for start in range(0, len(signatures), SIGNATURES_PER_CALL):
            part = list(signatures[start : start + SIGNATURES_PER_CALL])
            params = [part, {"searchTransactionHistory": search_history}]
            seen = await self._ask("getSignatureStatuses", params, replies.statuses_parser(len(part)))
            found += seen
        return tuple(found)

    async def get_transaction(
        self, signature: Signature, *, commitment: Commitment | None = None
    ) -> LandedTransaction | None:
        """A transaction of the ledger; None where it is not (yet) there."""
        config = {
            "encoding": "base64",
            "commitment": commitment or self._commitment,
            "maxSupportedTransactionVersion": 0,
        }
        return await self._ask("getTransaction", [signature, config], replies.landed_transaction)

    async def get_signatures_for_address(
        self,
        address: Address,
        *,
        limit: int = 1000,
        before: Signature | None = None,
        until: Signature | None = None,
        commitment: Commitment | None = None,
        min_context_slot: int | None = None,
    ) -> tuple[SignatureInfo, ...]:
        """The account's transactions, newest first."""
        config = self._config(commitment, min_context_slot, limit=limit)
        config |= {name: value for name, value in (("before", before), ("until", until)) if value is not None}

        def parse(value: Any) -> tuple[SignatureInfo, ...]:
            return tuple(replies.signature_info(each) for each in value)

        return await self._ask("getSignaturesForAddress", [address, config], parse)

    async def request_airdrop(self, address: Address, lamports: int) -> Signature:
        """Ask a test chain's faucet for lamports. Not repeated: each call that arrives pays."""
        return Signature(await self._ask("requestAirdrop", [address, lamports], replies.text, ONCE))

    # --- how -----------------------------------------------------------------------------------------------

    def _config(self, commitment: Commitment | None, min_context_slot: int | None, **more: object) -> dict[str, Any]:
        config: dict[str, Any] = {"commitment": commitment or self._commitment, **more}
        demanded = self._floor if min_context_slot is None else min_context_slot
        floors = [floor for floor in (demanded, self._horizon.floor(config["commitment"])) if floor is not None]
        if floors:
            config["minContextSlot"] = max(floors)
        return config

    async def _ask(self, method: str, params: Sequence[Any], parse: Callable[[Any], T], retry: Retry = READ) -> T:
        return await retry.call(lambda: self._pool.call(method, params, parse), on=(RpcUnavailable,), clock=self._clock)

    async def _seen(self, method: str, params: Sequence[Any], parse: Callable[[Any], Seen[T]]) -> Seen[T]:
        """Ask, and do not take an answer from before the slot demanded, even if the endpoint gives one."""
        config = params[-1]
        commitment, floor = config["commitment"], config.get("minContextSlot")

        def parse_and_check(answer: Any) -> Seen[T]:
            seen = parse(answer)
            if floor is not None and seen.slot < floor:
                raise RpcBehind(
                    f"an endpoint showed slot {seen.slot} where {floor} was demanded",
                    hint="The endpoint lags behind or ignores minContextSlot; use another (`rpc.urls`).",
                )
            self._horizon.saw(commitment, seen.slot)
            return seen

        async def ask() -> Seen[T]:
            try:
                return await self._pool.call(method, params, parse_and_check, commitment=commitment)
            except RpcBehind:
                if floor is not None and floor == self._horizon.floor(commitment):
                    self._horizon.missed(commitment, self._clock.monotonic())
                raise

        return await READ.call(ask, on=(RpcUnavailable,), clock=self._clock)


def _b64(wire: bytes) -> str:
    return base64.b64encode(wire).decode()
