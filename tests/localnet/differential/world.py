"""The same history on every chain: accounts of all kinds a node can tell apart, and the transactions that made them.

Keys are made from names, so that addresses are the same everywhere but for those that hang on the chain: its own
keys, blockhashes, and the lookup table (its address is derived from a slot).
"""

from __future__ import annotations

from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import (
    AuthorizeNonceAccountParams,
    CreateAccountParams,
    CreateAccountWithSeedParams,
    CreateLookupTableParams,
    DeactivateLookupTableParams,
    ExtendLookupTableParams,
    authorize_nonce_account,
    create_account,
    create_account_with_seed,
    create_lookup_table,
    create_nonce_account,
    deactivate_lookup_table,
    extend_lookup_table,
)
from spl.token import instructions as token
from spl.token import models

from node.chain.addresses import to_address, to_key, token_account
from node.chain.instructions.jobs import list_job
from tests.localnet.differential.names import (
    ALICE,
    BOB,
    CAROL,
    DEFINITION,
    NATIVE,
    RENT,
    SOL,
    STAKE,
    TOKEN,
    TOKEN_2022,
    World,
    key,
    memo,
    pay,
)
from tests.localnet.differential.remote import Remote


class Builder:
    """Makes the history on one chain."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._chain = remote.chain
        self.world = World()
        self._nos = to_key(self._chain.mint)

    async def build(self) -> World:
        """The whole history, finalized when it returns."""
        self._name_genesis()
        await self._wallets()
        await self._tokens()
        await self._own_mint()
        await self._newer_tokens()
        await self._native_programs()
        await self._lookup_table()
        await self._market()
        await self._remote.final(max(self.world.slots.values()) + 1)
        return self.world

    def _name_genesis(self) -> None:
        chain, names = self._chain, self.world.names
        assert chain.market is not None
        for name, keypair in chain.keys.items():
            names[name] = str(keypair.pubkey())
            names[f"nos:{name}"] = token_account(chain.cluster, to_address(keypair.pubkey()))
        names["market"] = chain.market
        names["market-vault"] = self._vault(chain.market)
        for name, keypair in (("alice", ALICE), ("bob", BOB), ("carol", CAROL)):
            names[name] = str(keypair.pubkey())
            names[f"nos:{name}"] = token_account(chain.cluster, to_address(keypair.pubkey()))
        names["nobody"] = str(key("nobody").pubkey())

    def _vault(self, market: str) -> str:
        seeds = [bytes(to_key(market)), bytes(self._nos)]
        return str(Pubkey.find_program_address(seeds, to_key(self._chain.cluster.jobs))[0])

    async def _land(self, name: str, instructions: list[Instruction], *signers: Keypair, **how: object) -> None:
        transaction = await self._remote.sign(instructions, *signers, **how)  # type: ignore[arg-type]
        signature = await self._remote.land(transaction)
        row = (await self._remote.call("getSignatureStatuses", [signature]))["value"][0]
        assert (row["err"] is None) is not name.startswith("bad"), (name, row)
        self.world.names[f"tx:{name}"] = signature
        for index, other in enumerate(transaction.signatures[1:], 1):
            self.world.names[f"signature:{name}:{index}"] = str(other)
        self.world.names[f"hash:{name}"] = str(transaction.message.recent_blockhash)
        self.world.slots[name] = row["slot"]

    async def _wallets(self) -> None:
        faucet = self._chain.keys["faucet"]
        gifts = [pay(faucet, BOB.pubkey(), 5 * SOL), pay(faucet, CAROL.pubkey(), SOL)]
        await self._land("fund", [pay(faucet, ALICE.pubkey(), 50 * SOL), *gifts], faucet)
        await self._land(
            "legacy",
            [
                set_compute_unit_limit(60_000),
                set_compute_unit_price(1_000),
                pay(ALICE, BOB.pubkey(), 1_234_567),
                memo("hello, world", ALICE),
            ],
            ALICE,
            version=None,
        )
        await self._land("plain", [pay(ALICE, CAROL.pubkey(), 7_654_321)], ALICE)
        await self._land("bad-transfer", [memo("before", CAROL), pay(CAROL, BOB.pubkey(), 900 * SOL)], CAROL)
        await self._land("many", [pay(ALICE, BOB.pubkey(), 1), pay(BOB, ALICE.pubkey(), 2)], ALICE, BOB)

    async def _tokens(self) -> None:
        minter, nos = self._chain.keys["mint-authority"], self._nos
        alice, bob = (to_key(self.world.names[f"nos:{name}"]) for name in ("alice", "bob"))
        await self._land(
            "mint-nos",
            [
                token.create_associated_token_account(ALICE.pubkey(), ALICE.pubkey(), nos),
                token.mint_to_checked(
                    models.MintToCheckedParams(
                        program_id=TOKEN,
                        mint=nos,
                        dest=alice,
                        mint_authority=minter.pubkey(),
                        amount=123_456_789,
                        decimals=6,
                    )
                ),
            ],
            ALICE,
            minter,
        )
        await self._land(
            "move-nos",
            [
                token.create_idempotent_associated_token_account(ALICE.pubkey(), BOB.pubkey(), nos),
                token.transfer_checked(
                    models.TransferCheckedParams(
                        program_id=TOKEN,
                        source=alice,
                        mint=nos,
                        dest=bob,
                        owner=ALICE.pubkey(),
                        amount=23_456_000,
                        decimals=6,
                    )
                ),
                token.approve(
                    models.ApproveParams(
                        program_id=TOKEN, source=alice, delegate=BOB.pubkey(), owner=ALICE.pubkey(), amount=1_000_000
                    )
                ),
            ],
            ALICE,
        )

    async def _own_mint(self) -> None:
        mint, held, shared = key("mint"), key("held"), key("shared")
        await self._land(
            "own-mint",
            [
                self._create(mint, 82, TOKEN),
                token.initialize_mint2(
                    models.InitializeMint2Params(
                        decimals=2,
                        program_id=TOKEN,
                        mint=mint.pubkey(),
                        mint_authority=ALICE.pubkey(),
                        freeze_authority=BOB.pubkey(),
                    )
                ),
                self._create(held, 165, TOKEN),
                token.initialize_account3(
                    models.InitializeAccount3Params(
                        program_id=TOKEN, account=held.pubkey(), mint=mint.pubkey(), owner=CAROL.pubkey()
                    )
                ),
                token.mint_to(
                    models.MintToParams(
                        program_id=TOKEN,
                        mint=mint.pubkey(),
                        dest=held.pubkey(),
                        mint_authority=ALICE.pubkey(),
                        amount=12_300,
                    )
                ),
            ],
            ALICE,
            mint,
            held,
        )
        await self._land(
            "freeze",
            [
                token.set_authority(
                    models.SetAuthorityParams(
                        program_id=TOKEN,
                        account=held.pubkey(),
                        authority=models.AuthorityType.CLOSE_ACCOUNT,
                        current_authority=CAROL.pubkey(),
                        new_authority=ALICE.pubkey(),
                    )
                ),
                token.freeze_account(
                    models.FreezeAccountParams(
                        program_id=TOKEN, account=held.pubkey(), mint=mint.pubkey(), authority=BOB.pubkey()
                    )
                ),
            ],
            ALICE,
            CAROL,
            BOB,
        )
        signers = [ALICE.pubkey(), BOB.pubkey(), CAROL.pubkey()]
        await self._land(
            "multisig",
            [
                self._create(shared, 355, TOKEN),
                token.initialize_multisig2(
                    models.InitializeMultisig2Params(program_id=TOKEN, multisig=shared.pubkey(), m=2, signers=signers)
                ),
            ],
            ALICE,
            shared,
        )
        self.world.names |= {"mint": str(mint.pubkey()), "held": str(held.pubkey()), "multisig": str(shared.pubkey())}
        wrapped = token.get_associated_token_address(ALICE.pubkey(), NATIVE)
        self.world.names["wrapped"] = str(wrapped)
        await self._land(
            "wrap",
            [
                token.create_associated_token_account(ALICE.pubkey(), ALICE.pubkey(), NATIVE),
                pay(ALICE, wrapped, 3_000_000),
                token.sync_native(models.SyncNativeParams(program_id=TOKEN, account=wrapped)),
            ],
            ALICE,
        )

    async def _newer_tokens(self) -> None:
        mint = key("newer-mint")
        held = token.get_associated_token_address(BOB.pubkey(), mint.pubkey(), TOKEN_2022)
        closing = Instruction(
            TOKEN_2022, bytes([25, 1]) + bytes(ALICE.pubkey()), [AccountMeta(mint.pubkey(), False, True)]
        )
        fees = bytes([26, 0, 1]) + bytes(ALICE.pubkey()) + bytes([1]) + bytes(BOB.pubkey())
        fees += (150).to_bytes(2, "little") + (5_000).to_bytes(8, "little")
        # 82 bytes of a mint, padded to an account's 165, one for the kind; then the two extensions
        size = 166 + 4 + 32 + 4 + 108
        await self._land(
            "newer-mint",
            [
                self._create(mint, size, TOKEN_2022),
                closing,
                Instruction(TOKEN_2022, fees, [AccountMeta(mint.pubkey(), False, True)]),
                token.initialize_mint2(
                    models.InitializeMint2Params(
                        decimals=3, program_id=TOKEN_2022, mint=mint.pubkey(), mint_authority=ALICE.pubkey()
                    )
                ),
                token.create_associated_token_account(ALICE.pubkey(), BOB.pubkey(), mint.pubkey(), TOKEN_2022),
                token.mint_to(
                    models.MintToParams(
                        program_id=TOKEN_2022,
                        mint=mint.pubkey(),
                        dest=held,
                        mint_authority=ALICE.pubkey(),
                        amount=77_000,
                    )
                ),
            ],
            ALICE,
            mint,
        )
        self.world.names |= {"newer-mint": str(mint.pubkey()), "newer-held": str(held)}

    async def _native_programs(self) -> None:
        nonce, stake, blob = key("nonce"), key("stake"), key("blob")
        created = create_nonce_account(ALICE.pubkey(), nonce.pubkey(), BOB.pubkey(), 2_000_000)
        moved = AuthorizeNonceAccountParams(
            nonce_pubkey=nonce.pubkey(), authorized_pubkey=BOB.pubkey(), new_authority=CAROL.pubkey()
        )
        await self._land("nonce", [*created, authorize_nonce_account(moved)], ALICE, nonce, BOB)
        staked = bytes(4) + bytes(ALICE.pubkey()) + bytes(BOB.pubkey()) + bytes(8) + bytes(8) + bytes(32)
        metas = [AccountMeta(stake.pubkey(), False, True), AccountMeta(RENT, False, False)]
        await self._land(
            "stake", [self._create(stake, 200, STAKE, 3 * SOL), Instruction(STAKE, staked, metas)], ALICE, stake
        )
        seeded = Pubkey.create_with_seed(ALICE.pubkey(), "seed", Pubkey.default())
        await self._land(
            "seeded",
            [
                create_account_with_seed(
                    CreateAccountWithSeedParams(
                        from_pubkey=ALICE.pubkey(),
                        to_pubkey=seeded,
                        base=ALICE.pubkey(),
                        seed="seed",
                        lamports=2_000_000,
                        space=16,
                        owner=Pubkey.default(),
                    )
                ),
                self._create(blob, 300, TOKEN),
            ],
            ALICE,
            blob,
        )
        self.world.names |= {
            "nonce": str(nonce.pubkey()),
            "stake": str(stake.pubkey()),
            "seeded": str(seeded),
            "blob": str(blob.pubkey()),
        }

    async def _lookup_table(self) -> None:
        slot = await self._remote.call("getSlot", {"commitment": "finalized"})
        made, address = _table(ALICE, slot)
        listed = [BOB.pubkey(), CAROL.pubkey(), key("looked-up").pubkey()]
        extended = extend_lookup_table(
            ExtendLookupTableParams(
                lookup_table_address=address,
                authority_address=ALICE.pubkey(),
                payer_address=ALICE.pubkey(),
                new_addresses=listed,
            )
        )
        self.world.names |= {"table": str(address), "looked-up": str(listed[2])}
        await self._land("table", [made, extended], ALICE)
        self.world.slots["table-made-from"] = slot
        # what was added to a table can be used from the slot after
        await self._remote.final(self.world.slots["table"])
        table = AddressLookupTableAccount(address, listed)
        paid = [pay(ALICE, listed[2], 1_000_000), pay(ALICE, BOB.pubkey(), 5)]
        read = token.create_idempotent_associated_token_account(ALICE.pubkey(), CAROL.pubkey(), self._nos)
        await self._land("table-use", [*paid, read], ALICE, tables=[table])
        old, gone = _table(BOB, slot)
        self.world.names["old-table"] = str(gone)
        stopped = deactivate_lookup_table(
            DeactivateLookupTableParams(lookup_table_address=gone, authority_address=BOB.pubkey())
        )
        unused, empty = _table(CAROL, slot)
        self.world.names["empty-table"] = str(empty)
        await self._land("old-table", [old, stopped], ALICE, BOB)
        await self._land("empty-table", [unused], ALICE)

    async def _market(self) -> None:
        cluster, market = self._chain.cluster, self._chain.market
        assert market is not None
        for name, definition in (("job", "listed"), ("other-job", "delisted")):
            job, run = key(name), key(f"{name}-run")
            self.world.names |= {name: str(job.pubkey()), f"{name}-run": str(run.pubkey())}
            await self._land(
                definition,
                [
                    list_job(
                        cluster,
                        job=to_address(job.pubkey()),
                        run=to_address(run.pubkey()),
                        market=market,
                        payer=to_address(ALICE.pubkey()),
                        authority=to_address(ALICE.pubkey()),
                        definition=DEFINITION,
                        timeout=3_600,
                    )
                ],
                ALICE,
                job,
                run,
            )

    def _create(self, new: Keypair, space: int, owner: Pubkey, lamports: int = 0) -> Instruction:
        rent = (space + 128) * 6_960  # lamports that exempt so many bytes
        return create_account(
            CreateAccountParams(
                from_pubkey=ALICE.pubkey(),
                to_pubkey=new.pubkey(),
                lamports=lamports or rent,
                space=space,
                owner=owner,
            )
        )


def _table(owner: Keypair, slot: int) -> tuple[Instruction, Pubkey]:
    return create_lookup_table(
        CreateLookupTableParams(authority_address=owner.pubkey(), payer_address=ALICE.pubkey(), recent_slot=slot)
    )
