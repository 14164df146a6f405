"""What each method takes: the parameters in order, those that must be there first.

Source: the method declarations and configuration types of agave 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from node.localnet.rpc.errors import RpcError, invalid_params
from node.localnet.rpc.shapes import (
    AnyOf,
    Choice,
    Fields,
    Flag,
    ListOf,
    Maybe,
    Mismatch,
    Shape,
    Text,
    Unsigned,
    debug,
)

_TEXT, _U64, _SIZE, _FLAG = Text(), Unsigned(), Unsigned("usize"), Flag()
_LEVEL = Choice(("processed", "confirmed", "finalized"))
_COMMITMENT = Fields("CommitmentConfig", {"commitment": _LEVEL}, needed=("commitment",))
_SLOT = Maybe(_U64)
_ACCOUNT_ENCODING = Maybe(Choice(("binary", "base58", "base64", "jsonParsed", "base64+zstd")))
_TRANSACTION_ENCODING = Maybe(Choice(("binary", "base64", "base58", "json", "jsonParsed")))
_DETAILS = Maybe(Choice(("full", "signatures", "none", "accounts")))
_VERSION = Maybe(Unsigned("u8"))
_SLICE = Maybe(Fields("UiDataSliceConfig", {"offset": _SIZE, "length": _SIZE}, needed=("offset", "length")))


def _config(name: str, needed: tuple[str, ...] = (), **members: Shape) -> Fields:
    return Fields(name, members, needed=needed, lenient=(_COMMITMENT,))


_CONTEXT = _config("RpcContextConfig", minContextSlot=_SLOT)
_ACCOUNT = _config("RpcAccountInfoConfig", encoding=_ACCOUNT_ENCODING, dataSlice=_SLICE, minContextSlot=_SLOT)
_BYTES = Fields(
    "RpcMemcmpInner",
    {
        "bytes": AnyOf("DataType", (_TEXT, ListOf(Unsigned("u8")))),
        "encoding": Maybe(Choice(("base58", "base64", "bytes"))),
    },
    needed=("bytes",),
)
_MEMCMP = Fields("Memcmp", {"offset": _SIZE}, needed=("offset",), spread=(_BYTES,))
_FILTER = Choice(("dataSize", "memcmp", "tokenAccountState"), {"dataSize": _U64, "memcmp": _MEMCMP})
_PROGRAM = Fields(
    "RpcProgramAccountsConfig",
    {"filters": Maybe(ListOf(_FILTER)), "withContext": Maybe(_FLAG), "sortResults": Maybe(_FLAG)},
    spread=(_ACCOUNT,),
)
_TOKENS = Choice(("mint", "programId"), {"mint": _TEXT, "programId": _TEXT})
_BLOCK = _config(
    "RpcBlockConfig",
    encoding=_TRANSACTION_ENCODING,
    transactionDetails=_DETAILS,
    rewards=Maybe(_FLAG),
    maxSupportedTransactionVersion=_VERSION,
)
_TRANSACTION = _config("RpcTransactionConfig", encoding=_TRANSACTION_ENCODING, maxSupportedTransactionVersion=_VERSION)
_SEND = Fields(
    "RpcSendTransactionConfig",
    {
        "skipPreflight": _FLAG,
        "preflightCommitment": Maybe(_LEVEL),
        "encoding": _TRANSACTION_ENCODING,
        "maxRetries": Maybe(_SIZE),
        "minContextSlot": _SLOT,
    },
)
_SIMULATED_ACCOUNTS = Fields(
    "RpcSimulateTransactionAccountsConfig",
    {"encoding": _ACCOUNT_ENCODING, "addresses": ListOf(_TEXT)},
    needed=("addresses",),
)
_SIMULATE = _config(
    "RpcSimulateTransactionConfig",
    sigVerify=_FLAG,
    replaceRecentBlockhash=_FLAG,
    encoding=_TRANSACTION_ENCODING,
    accounts=Maybe(_SIMULATED_ACCOUNTS),
    minContextSlot=_SLOT,
    innerInstructions=_FLAG,
)
_HISTORY = _config(
    "RpcSignaturesForAddressConfig",
    before=Maybe(_TEXT),
    until=Maybe(_TEXT),
    limit=Maybe(_SIZE),
    minContextSlot=_SLOT,
)
_LEADERS = _config("RpcLeaderScheduleConfig", identity=Maybe(_TEXT))
_RANGE = Fields("RpcBlockProductionConfigRange", {"firstSlot": _U64, "lastSlot": _SLOT}, needed=("firstSlot",))
_STATUS = Fields("RpcSignatureStatusConfig", {"searchTransactionHistory": _FLAG}, needed=("searchTransactionHistory",))
_AIRDROP = _config("RpcRequestAirdropConfig", recentBlockhash=Maybe(_TEXT))
_PRODUCTION = _config("RpcBlockProductionConfig", identity=Maybe(_TEXT), range=Maybe(_RANGE))
_VOTES = _config(
    "RpcGetVoteAccountsConfig",
    votePubkey=Maybe(_TEXT),
    keepUnstakedDelinquents=Maybe(_FLAG),
    delinquentSlotDistance=_SLOT,
)
_LARGEST = _config(
    "RpcLargestAccountsConfig",
    filter=Maybe(Choice(("circulating", "nonCirculating"))),
    sortResults=Maybe(_FLAG),
)
_SUPPLY = _config("RpcSupplyConfig", excludeNonCirculatingAccountsList=_FLAG)
_EPOCH = _config("RpcEpochConfig", epoch=_SLOT, minContextSlot=_SLOT)
_SIGNATURE = _config("RpcSignatureSubscribeConfig", enableReceivedNotification=Maybe(_FLAG))
_LOGS = _config("RpcTransactionLogsConfig")
_BLOCKS = _config(
    "RpcBlockSubscribeConfig",
    encoding=_TRANSACTION_ENCODING,
    transactionDetails=_DETAILS,
    showRewards=Maybe(_FLAG),
    maxSupportedTransactionVersion=_VERSION,
)
_BLOCKS_FILTER = Choice(("all", "mentionsAccountOrProgram"), {"mentionsAccountOrProgram": _TEXT})
_LOGS_FILTER = Choice(("all", "allWithVotes", "mentions"), {"mentions": ListOf(_TEXT)})


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of one method."""

    needed: tuple[Shape, ...] = ()
    optional: tuple[Shape, ...] = ()

    def read(self, params: Any) -> list[Any]:
        """The parameters as a node takes them, absent optional ones left out. Raises RpcError -32602."""
        if not self.needed and not self.optional:
            return _none(params)
        if not self.optional:
            return self._exact(params)
        if params is not None and not isinstance(params, list):
            raise invalid_params("`params` should be an array")
        given, least = params or [], len(self.needed)
        most = least + len(self.optional)
        if len(given) < least:
            raise invalid_params(f"`params` should have at least {least} argument(s)")
        if len(given) > most:
            raise _detailed(f"Expected from {least} to {most} parameters.", f'"Got: {len(given)}"')
        shapes = (*self.needed, *(Maybe(shape) for shape in self.optional))
        return _each(shapes[: len(given)], given)

    def _exact(self, params: Any) -> list[Any]:
        count = len(self.needed)
        if not isinstance(params, list):
            what = "null" if params is None else "map"
            raise invalid_params(f"Invalid params: invalid type: {what}, expected a tuple of size {count}.")
        read = _each(self.needed, params[:count])
        if len(params) < count:
            raise invalid_params(f"Invalid params: invalid length {len(params)}, expected a tuple of size {count}.")
        if len(params) > count:
            raise invalid_params(f"Invalid params: invalid length {len(params)}, expected fewer elements in array.")
        return read


def _each(shapes: tuple[Shape, ...], values: list[Any]) -> list[Any]:
    try:
        return [shape.read(value) for shape, value in zip(shapes, values, strict=False)]
    except Mismatch as mismatch:
        raise invalid_params(f"Invalid params: {mismatch}.") from None


def _none(params: Any) -> list[Any]:
    if params is None or params == []:
        return []
    if isinstance(params, list):
        told = f"Array([{', '.join(debug(entry) for entry in params)}])"
    else:
        members = ", ".join(f'"{name}": {debug(params[name])}' for name in sorted(params))
        told = f"Map({{{members}}})"
    raise _detailed("No parameters were expected", told)


def _detailed(message: str, details: str) -> RpcError:
    error = invalid_params(f"Invalid parameters: {message}")
    error.data = details
    return error


_NOTHING = Signature()
_OF_CONTEXT = Signature((), (_CONTEXT,))
_UNSUBSCRIBE = Signature((_U64,))

SIGNATURES: dict[str, Signature] = {
    "getAccountInfo": Signature((_TEXT,), (_ACCOUNT,)),
    "getBalance": Signature((_TEXT,), (_CONTEXT,)),
    "getBlock": Signature((_U64,), (AnyOf("RpcEncodingConfigWrapper", (_TRANSACTION_ENCODING, Maybe(_BLOCK))),)),
    "getBlockCommitment": Signature((_U64,)),
    "getBlockHeight": _OF_CONTEXT,
    "getBlockProduction": Signature((), (_PRODUCTION,)),
    "getBlockTime": Signature((_U64,)),
    "getBlocks": Signature((_U64,), (AnyOf("RpcBlocksConfigWrapper", (_SLOT, Maybe(_CONTEXT))), _CONTEXT)),
    "getBlocksWithLimit": Signature((_U64, _SIZE), (_CONTEXT,)),
    "getClusterNodes": _NOTHING,
    "getEpochInfo": _OF_CONTEXT,
    "getEpochSchedule": _NOTHING,
    "getFeeForMessage": Signature((_TEXT,), (_CONTEXT,)),
    "getFirstAvailableBlock": _NOTHING,
    "getGenesisHash": _NOTHING,
    "getHealth": _NOTHING,
    "getHighestSnapshotSlot": _NOTHING,
    "getIdentity": _NOTHING,
    "getInflationGovernor": Signature((), (_COMMITMENT,)),
    "getInflationRate": _NOTHING,
    "getInflationReward": Signature((ListOf(_TEXT),), (_EPOCH,)),
    "getLargestAccounts": Signature((), (_LARGEST,)),
    "getLatestBlockhash": _OF_CONTEXT,
    "getLeaderSchedule": Signature((), (AnyOf("RpcLeaderScheduleConfigWrapper", (_SLOT, Maybe(_LEADERS))), _LEADERS)),
    "getMaxRetransmitSlot": _NOTHING,
    "getMaxShredInsertSlot": _NOTHING,
    "getMinimumBalanceForRentExemption": Signature((_SIZE,), (_COMMITMENT,)),
    "getMultipleAccounts": Signature((ListOf(_TEXT),), (_ACCOUNT,)),
    "getProgramAccounts": Signature((_TEXT,), (_PROGRAM,)),
    "getRecentPerformanceSamples": Signature((), (_SIZE,)),
    "getRecentPrioritizationFees": Signature((), (ListOf(_TEXT),)),
    "getSignatureStatuses": Signature((ListOf(_TEXT),), (_STATUS,)),
    "getSignaturesForAddress": Signature((_TEXT,), (_HISTORY,)),
    "getSlot": _OF_CONTEXT,
    "getSlotLeader": _OF_CONTEXT,
    "getSlotLeaders": Signature((_U64, _U64)),
    "getStakeMinimumDelegation": _OF_CONTEXT,
    "getSupply": Signature((), (_SUPPLY,)),
    "getTokenAccountBalance": Signature((_TEXT,), (_COMMITMENT,)),
    "getTokenAccountsByDelegate": Signature((_TEXT, _TOKENS), (_ACCOUNT,)),
    "getTokenAccountsByOwner": Signature((_TEXT, _TOKENS), (_ACCOUNT,)),
    "getTokenLargestAccounts": Signature((_TEXT,), (_COMMITMENT,)),
    "getTokenSupply": Signature((_TEXT,), (_COMMITMENT,)),
    "getTransaction": Signature(
        (_TEXT,), (AnyOf("RpcEncodingConfigWrapper", (_TRANSACTION_ENCODING, Maybe(_TRANSACTION))),)
    ),
    "getTransactionCount": _OF_CONTEXT,
    "getVersion": _NOTHING,
    "getVoteAccounts": Signature((), (_VOTES,)),
    "isBlockhashValid": Signature((_TEXT,), (_CONTEXT,)),
    "minimumLedgerSlot": _NOTHING,
    "requestAirdrop": Signature((_TEXT, _U64), (_AIRDROP,)),
    "sendTransaction": Signature((_TEXT,), (_SEND,)),
    "simulateTransaction": Signature((_TEXT,), (_SIMULATE,)),
    # sockets
    "accountSubscribe": Signature((_TEXT,), (_ACCOUNT,)),
    "accountUnsubscribe": _UNSUBSCRIBE,
    "blockSubscribe": Signature((_BLOCKS_FILTER,), (_BLOCKS,)),
    "blockUnsubscribe": _UNSUBSCRIBE,
    "logsSubscribe": Signature((_LOGS_FILTER,), (_LOGS,)),
    "logsUnsubscribe": _UNSUBSCRIBE,
    "programSubscribe": Signature((_TEXT,), (_PROGRAM,)),
    "programUnsubscribe": _UNSUBSCRIBE,
    "rootSubscribe": _NOTHING,
    "rootUnsubscribe": _UNSUBSCRIBE,
    "signatureSubscribe": Signature((_TEXT,), (_SIGNATURE,)),
    "signatureUnsubscribe": _UNSUBSCRIBE,
    "slotSubscribe": _NOTHING,
    "slotUnsubscribe": _UNSUBSCRIBE,
    "slotsUpdatesSubscribe": _NOTHING,
    "slotsUpdatesUnsubscribe": _UNSUBSCRIBE,
    "voteSubscribe": _NOTHING,
    "voteUnsubscribe": _UNSUBSCRIBE,
}
"""By method. The localnet's own methods are not here: they look at their parameters themselves."""
