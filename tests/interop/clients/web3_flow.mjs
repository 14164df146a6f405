// What programs for any chain do with @solana/web3.js and @solana/spl-token: every call of a Connection, every way to send and
// confirm, every subscription, tokens, nonces, lookup tables. Prints a report (lib/report.mjs).
import assert from 'node:assert/strict';
import * as token from '@solana/spl-token';
import {
  AddressLookupTableProgram, ComputeBudgetProgram, Connection, Keypair, LAMPORTS_PER_SOL, NonceAccount, NONCE_ACCOUNT_LENGTH, PublicKey,
  sendAndConfirmRawTransaction, sendAndConfirmTransaction, SendTransactionError, SystemProgram, Transaction, TransactionInstruction,
  TransactionMessage, VersionedTransaction,
} from '@solana/web3.js';
import { input, refused, Report, sleep, until } from './lib/report.mjs';

const MEMO = new PublicKey('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr');

const chain = await input();
const report = new Report();
const raw = new Connection(chain.rpc, { commitment: 'confirmed', wsEndpoint: chain.ws });
const connection = report.watch(raw, 'connection');
// A blockhash lives for 150 slots, and these may be short; the client would keep one for 30 s.
raw._disableBlockhashCaching = true;
const note = report.watch(token, 'token', token);
const payer = Keypair.fromSecretKey(Uint8Array.from(chain.keys.poster));
const mint = new PublicKey(chain.programs.nosTokenAddress);
const jobs = new PublicKey(chain.programs.jobsAddress);
const market = new PublicKey(chain.market);

const memo = (text) => new TransactionInstruction({ programId: MEMO, keys: [], data: Buffer.from(text) });
const give = (to, lamports = LAMPORTS_PER_SOL) => SystemProgram.transfer({ fromPubkey: payer.publicKey, toPubkey: to, lamports });
const fresh = () => Keypair.generate().publicKey;
const send = (instructions, ...signers) => sendAndConfirmTransaction(raw, new Transaction().add(...instructions), [payer, ...signers]);
async function versioned(instructions, tables = []) {
  const { blockhash } = await raw.getLatestBlockhash();
  const transaction = new VersionedTransaction(
    new TransactionMessage({ payerKey: payer.publicKey, recentBlockhash: blockhash, instructions }).compileToV0Message(tables),
  );
  transaction.sign([payer]);
  return transaction;
}

await report.step('SOL is asked for and confirmed', async () => {
  const to = Keypair.generate();
  const signature = await connection.requestAirdrop(to.publicKey, 2 * LAMPORTS_PER_SOL);
  const latest = await connection.getLatestBlockhash();
  const { value } = await connection.confirmTransaction({ signature, ...latest });
  assert.equal(value.err, null);
  assert.equal(await connection.getBalance(to.publicKey), 2 * LAMPORTS_PER_SOL);
  const again = await connection.requestAirdrop(to.publicKey, LAMPORTS_PER_SOL);
  await connection.confirmTransaction(again, 'confirmed');
  assert.equal((await connection.getBalanceAndContext(to.publicKey)).value, 3 * LAMPORTS_PER_SOL);
});

let sent;
await report.step('transactions are sent in every way and confirmed in every way', async () => {
  const to = fresh();
  sent = await sendAndConfirmTransaction(raw, new Transaction().add(give(to)), [payer], { commitment: 'confirmed' });
  await sendAndConfirmTransaction(raw, new Transaction().add(give(to), memo('skip')), [payer], { skipPreflight: true, commitment: 'processed' });
  const { blockhash, lastValidBlockHeight } = await connection.getLatestBlockhash('finalized');
  const legacy = new Transaction({ feePayer: payer.publicKey, blockhash, lastValidBlockHeight }).add(give(to), memo('raw'));
  legacy.sign(payer);
  const signature = await connection.sendRawTransaction(legacy.serialize(), { maxRetries: 2 });
  await connection.confirmTransaction({ signature, blockhash, lastValidBlockHeight }, 'finalized');
  const encoded = new Transaction({ feePayer: payer.publicKey, ...(await connection.getLatestBlockhash()) }).add(give(to), memo('encoded'));
  encoded.sign(payer);
  await connection.confirmTransaction(await connection.sendEncodedTransaction(encoded.serialize().toString('base64')), 'confirmed');
  const version0 = await connection.sendTransaction(await versioned([give(to), memo('v0')]));
  await connection.confirmTransaction({ signature: version0, ...(await connection.getLatestBlockhash()) });
  const old = await connection.sendTransaction(new Transaction().add(give(to), memo('legacy')), [payer]);
  await connection.confirmTransaction(old);
  const whole = new Transaction({ feePayer: payer.publicKey, ...(await connection.getLatestBlockhash()) }).add(give(to), memo('whole'));
  whole.sign(payer);
  await sendAndConfirmRawTransaction(raw, whole.serialize(), { commitment: 'confirmed' });
  assert.equal(await connection.getBalance(to), 7 * LAMPORTS_PER_SOL);
  const status = await connection.getSignatureStatus(signature);
  assert.equal(status.value.confirmationStatus, 'finalized');
  const statuses = await connection.getSignatureStatuses([signature, version0, '1'.repeat(64)], { searchTransactionHistory: true });
  assert.deepEqual(statuses.value.map((one) => one && one.err), [null, null, null]);
  assert.equal(statuses.value[2], null);
});

await report.step('refused and failing transactions say why', async () => {
  const poor = Keypair.generate();
  const error = await refused(
    () => sendAndConfirmTransaction(raw, new Transaction().add(SystemProgram.transfer({ fromPubkey: poor.publicKey, toPubkey: payer.publicKey, lamports: 5 })), [payer, poor]),
    /custom program error: 0x1|insufficient lamports/,
  );
  assert.ok(error instanceof SendTransactionError);
  assert.ok((await error.getLogs(raw)).some((line) => /insufficient lamports 0, need 5/.test(line)));
  const { blockhash, lastValidBlockHeight } = await connection.getLatestBlockhash();
  const failing = new Transaction({ feePayer: payer.publicKey, blockhash, lastValidBlockHeight })
    .add(SystemProgram.transfer({ fromPubkey: poor.publicKey, toPubkey: payer.publicKey, lamports: 6 }));
  failing.sign(payer, poor);
  const landed = await connection.sendRawTransaction(failing.serialize(), { skipPreflight: true });
  // The client gives a failure back or throws it, whichever of its two ways to look is faster.
  const outcome = await connection.confirmTransaction({ signature: landed, blockhash, lastValidBlockHeight }).then(({ value }) => value.err, (thrown) => thrown);
  assert.deepEqual(outcome, { InstructionError: [0, { Custom: 1 }] });
  const found = await until(() => connection.getTransaction(landed, { commitment: 'confirmed', maxSupportedTransactionVersion: 0 }), (answer) => answer !== null);
  assert.deepEqual(found.meta.err, { InstructionError: [0, { Custom: 1 }] });
  assert.ok(found.meta.fee === 10_000 && found.meta.logMessages.length > 0);
  await refused(() => connection.sendRawTransaction(failing.serialize()), /already been processed/);
  const stale = new Transaction({ feePayer: payer.publicKey, blockhash: fresh().toBase58(), lastValidBlockHeight }).add(memo('stale'));
  stale.sign(payer);
  await refused(() => connection.sendRawTransaction(stale.serialize()), /Blockhash not found/);
  const unsigned = new Transaction({ feePayer: payer.publicKey, blockhash, lastValidBlockHeight }).add(memo('unsigned'));
  await refused(() => connection.sendRawTransaction(unsigned.serialize({ requireAllSignatures: false, verifySignatures: false })), /did not pass signature verification/);
  const nobody = Keypair.generate();
  const broke = new Transaction({ feePayer: nobody.publicKey, blockhash, lastValidBlockHeight }).add(memo('broke'));
  broke.sign(nobody);
  await refused(() => connection.sendRawTransaction(broke.serialize()), /Attempt to debit an account but found no record of a prior credit/);
  const absent = new TransactionInstruction({ programId: fresh(), keys: [], data: Buffer.alloc(0) });
  await refused(() => send([absent]), /Attempt to load a program that does not exist/);
  await refused(() => send([ComputeBudgetProgram.setComputeUnitLimit({ units: 100 }), give(fresh())]), /exceeded CUs meter|Computational budget exceeded/i);
  await refused(() => connection.confirmTransaction({ signature: '1'.repeat(64), blockhash, lastValidBlockHeight: 1 }), /block height exceeded/);
});

await report.step('transactions are tried without being sent', async () => {
  const to = fresh();
  const good = await connection.simulateTransaction(await versioned([give(to)]), { sigVerify: true, accounts: { encoding: 'base64', addresses: [to.toBase58()] } });
  assert.deepEqual([good.value.err, good.value.accounts[0].lamports, good.value.unitsConsumed], [null, LAMPORTS_PER_SOL, 150]);
  const replaced = await connection.simulateTransaction(await versioned([give(to)]), { replaceRecentBlockhash: true, innerInstructions: true });
  assert.equal(replaced.value.err, null);
  assert.equal(typeof replaced.value.replacementBlockhash.blockhash, 'string');
  const bad = await connection.simulateTransaction(await versioned([give(to, 10 ** 18)]));
  assert.deepEqual(bad.value.err, { InstructionError: [0, { Custom: 1 }] });
  const legacy = await connection.simulateTransaction(new Transaction().add(give(to)), [payer], [to]);
  assert.equal(legacy.value.err, null);
  assert.equal(await connection.getBalance(to), 0);
  const { message } = await versioned([give(to)]);
  assert.equal((await connection.getFeeForMessage(message)).value, 5_000);
});

await report.step('prices and limits of computing are paid', async () => {
  const before = await connection.getBalance(payer.publicKey);
  await send([ComputeBudgetProgram.setComputeUnitLimit({ units: 10_000 }), ComputeBudgetProgram.setComputeUnitPrice({ microLamports: 1_000_000 }), memo('priced')]);
  assert.equal(before - (await connection.getBalance(payer.publicKey)), 5_000 + 10_000);
  assert.ok((await connection.getRecentPrioritizationFees()).length > 0);
  assert.ok(Array.isArray(await connection.getRecentPrioritizationFees({ lockedWritableAccounts: [payer.publicKey] })));
});

await report.step('every subscription tells, and ends when told', async () => {
  const told = Object.fromEntries(['account', 'program', 'logs', 'mentions', 'signature', 'root', 'slot', 'options'].map((name) => [name, []]));
  const to = Keypair.generate();
  const accounts = connection.onAccountChange(to.publicKey, (info, context) => told.account.push([info.lamports, context.slot]), 'confirmed');
  const filters = [{ memcmp: { offset: 0, bytes: mint.toBase58() } }, { dataSize: 165 }];
  const programs = connection.onProgramAccountChange(token.TOKEN_PROGRAM_ID, ({ accountId }) => told.program.push(accountId.toBase58()), { commitment: 'confirmed', filters });
  const all = connection.onLogs('all', ({ signature }) => told.logs.push(signature), 'confirmed');
  const mentions = connection.onLogs(to.publicKey, ({ signature, logs, err }) => told.mentions.push([signature, logs, err]), 'confirmed');
  const slots = connection.onSlotChange((slot) => told.slot.push(slot));
  const roots = connection.onRootChange((root) => told.root.push(root));
  const updates = connection.onSlotUpdate(() => {});
  await until(() => told.slot, (seen) => seen.length > 2 && told.root.length > 0);
  await sleep(300);
  const latest = await connection.getLatestBlockhash();
  const transfer = new Transaction({ feePayer: payer.publicKey, ...latest }).add(give(to.publicKey), memo('heard'));
  transfer.sign(payer);
  const signature = await connection.sendRawTransaction(transfer.serialize());
  const once = connection.onSignature(signature, (result) => told.signature.push(result.err), 'confirmed');
  // At the same commitment it would be the same subscription: a node gives both one number, and this client loses one.
  const options = connection.onSignatureWithOptions(signature, (event) => told.options.push(event.type), { commitment: 'processed', enableReceivedNotification: false });
  assert.ok(once >= 0 && options >= 0);
  const account = await token.getOrCreateAssociatedTokenAccount(raw, payer, mint, to.publicKey);
  await until(() => told, (seen) => seen.account.length && seen.program.length && seen.mentions.length >= 1 && seen.signature.length && seen.options.length && seen.logs.includes(signature));
  assert.equal(told.account[0][0], LAMPORTS_PER_SOL);
  assert.ok(told.program.includes(account.address.toBase58()));
  assert.equal(told.mentions[0][0], signature);
  assert.ok(told.mentions[0][1].some((line) => line.includes('heard')) && told.mentions[0][2] === null);
  assert.deepEqual([told.signature, told.options], [[null], ['status']]);
  const [{ slot, parent, root }] = told.slot;
  assert.ok(slot > parent && parent >= root);
  await connection.removeAccountChangeListener(accounts);
  await connection.removeProgramAccountChangeListener(programs);
  await connection.removeOnLogsListener(all);
  await connection.removeOnLogsListener(mentions);
  await connection.removeSlotChangeListener(slots);
  await connection.removeRootChangeListener(roots);
  await connection.removeSlotUpdateListener(updates);
  const heard = told.account.length;
  await send([give(to.publicKey), memo('unheard')]);
  await sleep(300);
  assert.equal(told.account.length, heard);
  // A signature's subscription is over when it has told: there is nothing left to remove.
  await connection.removeSignatureListener(connection.onSignature(fresh().toBase58().padEnd(88, '1').slice(0, 87), () => {}));
});

let own;
await report.step('a token is made, minted, moved, lent, frozen, burnt and closed', async () => {
  const [alice, bob] = [Keypair.generate(), Keypair.generate()];
  await send([give(alice.publicKey), give(bob.publicKey)]);
  own = await note.createMint(raw, payer, payer.publicKey, payer.publicKey, 6);
  const from = await note.getOrCreateAssociatedTokenAccount(raw, payer, own, alice.publicKey);
  const to = await note.createAssociatedTokenAccount(raw, payer, own, bob.publicKey);
  await note.createAssociatedTokenAccountIdempotent(raw, payer, own, bob.publicKey, { skipPreflight: true });
  const extra = await note.createAccount(raw, payer, own, bob.publicKey, Keypair.generate());
  await note.mintTo(raw, payer, own, from.address, payer, 5_000_000n);
  await note.mintToChecked(raw, payer, own, from.address, payer, 1_000_000n, 6);
  await note.transfer(raw, payer, from.address, to, alice, 1_000_000n);
  await note.transferChecked(raw, payer, from.address, own, to, alice, 500_000n, 6);
  await note.approve(raw, payer, from.address, bob.publicKey, alice, 10n);
  await note.approveChecked(raw, payer, own, from.address, bob.publicKey, alice, 300_000n, 6);
  await note.transfer(raw, payer, from.address, extra, bob, 100_000n);
  await note.revoke(raw, payer, from.address, alice);
  await refused(() => note.transfer(raw, payer, from.address, extra, bob, 1n), /owner does not match/);
  await note.freezeAccount(raw, payer, to, own, payer);
  await refused(() => note.transfer(raw, payer, to, extra, bob, 1n), /Account is frozen/);
  await note.thawAccount(raw, payer, to, own, payer);
  await note.burn(raw, payer, extra, own, bob, 40_000n);
  await note.burnChecked(raw, payer, extra, own, bob, 60_000n, 6);
  await note.closeAccount(raw, payer, extra, payer.publicKey, bob);
  await note.setAuthority(raw, payer, own, payer, token.AuthorityType.FreezeAccount, null);
  const [mintInfo, account] = [await note.getMint(raw, own), await note.getAccount(raw, to)];
  assert.deepEqual([mintInfo.supply, mintInfo.decimals, mintInfo.freezeAuthority], [5_900_000n, 6, null]);
  assert.deepEqual([account.amount, account.owner.toBase58(), account.isFrozen], [1_500_000n, bob.publicKey.toBase58(), false]);
  assert.equal((await note.getMultipleAccounts(raw, [from.address, to])).length, 2);
  assert.deepEqual((await connection.getTokenAccountBalance(to)).value, { amount: '1500000', decimals: 6, uiAmount: 1.5, uiAmountString: '1.5' });
  assert.equal((await connection.getTokenSupply(own)).value.uiAmountString, '5.9');
  const largest = await connection.getTokenLargestAccounts(own);
  assert.deepEqual(largest.value.map((one) => one.amount), ['4400000', '1500000']);
  await refused(() => note.getAccount(raw, extra), /TokenAccountNotFound/).catch((error) => assert.equal(error.name, 'AssertionError'));
  assert.equal((await connection.getTokenAccountsByOwner(bob.publicKey, { mint: own })).value.length, 1);
  const [parsed] = (await connection.getParsedTokenAccountsByOwner(bob.publicKey, { programId: token.TOKEN_PROGRAM_ID })).value;
  assert.deepEqual([parsed.account.data.program, parsed.account.data.parsed.type, parsed.account.data.parsed.info.tokenAmount.uiAmount], ['spl-token', 'account', 1.5]);
});

await report.step('wrapped SOL, multisigs, amounts as text', async () => {
  const wrapped = await note.createWrappedNativeAccount(raw, payer, payer.publicKey, 1_000_000, Keypair.generate());
  await send([SystemProgram.transfer({ fromPubkey: payer.publicKey, toPubkey: wrapped, lamports: 500 })]);
  await note.syncNative(raw, payer, wrapped);
  assert.equal((await note.getAccount(raw, wrapped)).amount, 1_000_500n);
  await note.closeAccount(raw, payer, wrapped, payer.publicKey, payer);
  const [one, two] = [Keypair.generate(), Keypair.generate()];
  const several = await note.createMultisig(raw, payer, [one.publicKey, two.publicKey], 2);
  assert.equal((await note.getMultisig(raw, several)).m, 2);
  const shared = await note.createMint(raw, payer, several, null, 0);
  const holder = await token.getOrCreateAssociatedTokenAccount(raw, payer, shared, payer.publicKey);
  await refused(() => note.mintTo(raw, payer, shared, holder.address, several, 1n, [one]), /missing required signature/);
  await note.mintTo(raw, payer, shared, holder.address, several, 3n, [one, two]);
  assert.equal((await connection.getTokenAccountBalance(holder.address)).value.uiAmountString, '3');
  assert.equal(await note.amountToUiAmount(raw, payer, own, 1_500_000n), '1.5');
  assert.equal(await note.uiAmountToAmount(raw, payer, own, '1.5'), 1_500_000n);
});

await report.step('transactions are read back, raw and parsed', async () => {
  const [account, nonce] = [Keypair.generate(), 'seed'];
  const rent = await connection.getMinimumBalanceForRentExemption(0);
  const seeded = await PublicKey.createWithSeed(payer.publicKey, nonce, SystemProgram.programId);
  const to = fresh();
  const holder = token.getAssociatedTokenAddressSync(own, to);
  const signature = await send([
    ComputeBudgetProgram.setComputeUnitLimit({ units: 200_000 }),
    SystemProgram.createAccount({ fromPubkey: payer.publicKey, newAccountPubkey: account.publicKey, lamports: rent, space: 0, programId: SystemProgram.programId }),
    SystemProgram.createAccountWithSeed({ fromPubkey: payer.publicKey, newAccountPubkey: seeded, basePubkey: payer.publicKey, seed: nonce, lamports: rent, space: 0, programId: SystemProgram.programId }),
    SystemProgram.transfer({ fromPubkey: payer.publicKey, toPubkey: to, lamports: rent }),
    token.createAssociatedTokenAccountIdempotentInstruction(payer.publicKey, holder, to, own),
    token.createMintToCheckedInstruction(own, holder, payer.publicKey, 7n, 6),
    memo('all kinds'),
  ], account);
  const style = { commitment: 'confirmed', maxSupportedTransactionVersion: 0 };
  const whole = await connection.getParsedTransaction(signature, style);
  const seen = whole.transaction.message.instructions.map((one) => [one.program ?? 'raw', one.parsed?.type ?? one.parsed ?? one.programId.toBase58()]);
  assert.deepEqual(seen, [
    ['raw', 'ComputeBudget111111111111111111111111111111'], ['system', 'createAccount'], ['system', 'createAccountWithSeed'], ['system', 'transfer'],
    ['spl-associated-token-account', 'createIdempotent'], ['spl-token', 'mintToChecked'], ['spl-memo', 'all kinds'],
  ]);
  assert.deepEqual(whole.transaction.message.instructions[5].parsed.info, {
    mint: own.toBase58(), account: holder.toBase58(), mintAuthority: payer.publicKey.toBase58(),
    tokenAmount: { amount: '7', decimals: 6, uiAmount: 0.000007, uiAmountString: '0.000007' },
  });
  assert.deepEqual(whole.meta.innerInstructions.map(({ index, instructions }) => [index, instructions.map((one) => one.parsed.type)]),
    [[4, ['getAccountDataSize', 'createAccount', 'initializeImmutableOwner', 'initializeAccount3']]]);
  assert.deepEqual(whole.meta.innerInstructions[0].instructions[0].parsed.info, { mint: own.toBase58(), extensionTypes: ['immutableOwner'] });
  const [balance] = whole.meta.postTokenBalances.filter((one) => one.owner === to.toBase58());
  assert.deepEqual([balance.mint, balance.uiTokenAmount.amount, balance.programId], [own.toBase58(), '7', token.TOKEN_PROGRAM_ID.toBase58()]);
  assert.ok(whole.meta.computeUnitsConsumed > 0 && whole.blockTime > 0);
  assert.equal((await connection.getParsedTransactions([signature, sent], style)).length, 2);
  assert.equal((await connection.getTransactions([signature], style))[0].slot, whole.slot);
  const version0 = await connection.sendTransaction(await versioned([memo('version')]));
  await connection.confirmTransaction(version0);
  assert.equal((await connection.getTransaction(version0, style)).version, 0);
  await refused(() => connection.getTransaction(version0, { commitment: 'confirmed' }), /Transaction version \(0\) is not supported/);
  const signatures = await connection.getSignaturesForAddress(account.publicKey);
  assert.deepEqual(signatures.map((one) => [one.signature, one.memo, one.err]), [[signature, '[9] all kinds', null]]);
  const before = await connection.getSignaturesForAddress(payer.publicKey, { limit: 2 });
  assert.equal(before.length, 2);
  const block = await connection.getBlock(whole.slot, style);
  assert.ok(block.transactions.some((one) => one.transaction.signatures[0] === signature));
  const parsedBlock = await connection.getParsedBlock(whole.slot, style);
  assert.equal(parsedBlock.blockhash, block.blockhash);
  assert.ok((await connection.getBlockSignatures(whole.slot, 'confirmed')).signatures.includes(signature));
  assert.ok((await connection.getBlocks(whole.slot, whole.slot + 1, 'confirmed')).includes(whole.slot));
  assert.ok(Math.abs((await connection.getBlockTime(whole.slot)) - Date.now() / 1000) < 300);
});

await report.step('accounts are read in every way', async () => {
  const info = await connection.getAccountInfo(market);
  assert.deepEqual([info.owner.toBase58(), info.data.length, info.executable, typeof info.rentEpoch], [jobs.toBase58(), 10_224, false, 'number']);
  assert.equal(await connection.getAccountInfo(fresh()), null);
  assert.ok((await connection.getAccountInfoAndContext(market)).context.slot > 0);
  assert.equal((await connection.getAccountInfo(market, { dataSlice: { offset: 8, length: 32 } })).data.length, 32);
  const both = await connection.getMultipleAccountsInfo([market, fresh()]);
  assert.deepEqual(both.map((one) => one === null), [false, true]);
  assert.equal((await connection.getMultipleAccountsInfoAndContext([market])).value.length, 1);
  const parsed = await connection.getParsedAccountInfo(mint);
  assert.deepEqual([parsed.value.data.program, parsed.value.data.parsed.type, parsed.value.data.parsed.info.decimals], ['spl-token', 'mint', 6]);
  assert.equal((await connection.getMultipleParsedAccounts([mint, market])).value.length, 2);
  const filtered = await connection.getProgramAccounts(jobs, { filters: [{ dataSize: 10_224 }], dataSlice: { offset: 0, length: 0 } });
  assert.ok(filtered.some(({ pubkey, account }) => pubkey.equals(market) && account.data.length === 0));
  const context = await connection.getProgramAccounts(jobs, { withContext: true });
  assert.ok(context.context.slot > 0 && context.value.length > 0);
  const holders = await connection.getParsedProgramAccounts(token.TOKEN_PROGRAM_ID, { filters: [{ dataSize: 165 }, { memcmp: { offset: 0, bytes: mint.toBase58() } }] });
  assert.ok(holders.every(({ account }) => account.data.parsed.info.mint === mint.toBase58()) && holders.length > 0);
});

await report.step('a durable nonce stands in for a blockhash', async () => {
  const account = Keypair.generate();
  const lamports = await connection.getMinimumBalanceForRentExemption(NONCE_ACCOUNT_LENGTH);
  await send([
    SystemProgram.createAccount({ fromPubkey: payer.publicKey, newAccountPubkey: account.publicKey, lamports, space: NONCE_ACCOUNT_LENGTH, programId: SystemProgram.programId }),
    SystemProgram.nonceInitialize({ noncePubkey: account.publicKey, authorizedPubkey: payer.publicKey }),
  ], account);
  const { nonce } = await connection.getNonce(account.publicKey);
  assert.equal((await connection.getNonceAndContext(account.publicKey)).value.nonce, nonce);
  assert.equal(NonceAccount.fromAccountData((await connection.getAccountInfo(account.publicKey)).data).nonce, nonce);
  const to = fresh();
  const advance = SystemProgram.nonceAdvance({ noncePubkey: account.publicKey, authorizedPubkey: payer.publicKey });
  const transaction = new Transaction({ feePayer: payer.publicKey, nonceInfo: { nonce, nonceInstruction: advance }, minContextSlot: await connection.getSlot() }).add(give(to));
  transaction.sign(payer);
  await sleep(500);
  const signature = await connection.sendRawTransaction(transaction.serialize(), { preflightCommitment: 'confirmed' });
  await connection.confirmTransaction({ signature, nonceAccountPubkey: account.publicKey, nonceValue: nonce, minContextSlot: await connection.getSlot() }, 'confirmed');
  assert.equal(await connection.getBalance(to), LAMPORTS_PER_SOL);
  assert.notEqual((await connection.getNonce(account.publicKey)).nonce, nonce);
  await refused(() => connection.sendRawTransaction(transaction.serialize()), /already been processed|Blockhash not found/);
});

await report.step('a lookup table shortens a transaction', async () => {
  // The number of a slot that has a block: some are skipped.
  const last = await connection.getSlot('finalized');
  const recent = (await connection.getBlocks(last - 20, last, 'finalized')).at(-1);
  const [create, table] = AddressLookupTableProgram.createLookupTable({ authority: payer.publicKey, payer: payer.publicKey, recentSlot: recent });
  const to = [fresh(), fresh()];
  await send([create, AddressLookupTableProgram.extendLookupTable({ payer: payer.publicKey, authority: payer.publicKey, lookupTable: table, addresses: to })]);
  const { value } = await until(() => connection.getAddressLookupTable(table), (answer) => answer.value !== null);
  assert.deepEqual(value.state.addresses.map(String), to.map(String));
  const slot = await connection.getSlot();
  await until(() => connection.getSlot(), (now) => now > slot + 1);
  const transaction = await versioned([give(to[0]), give(to[1])], [value]);
  assert.equal(transaction.message.addressTableLookups[0].writableIndexes.length, 2);
  const signature = await connection.sendTransaction(transaction);
  await connection.confirmTransaction(signature);
  assert.equal(await connection.getBalance(to[1]), LAMPORTS_PER_SOL);
  const found = await connection.getTransaction(signature, { commitment: 'confirmed', maxSupportedTransactionVersion: 0 });
  assert.deepEqual(found.meta.loadedAddresses.writable.map(String), to.map(String));
});

// What these answer differs from chain to chain; that they answer, and in a shape the client accepts, does not.
const slot = await raw.getSlot('finalized');
const asked = {
  getVersion: [], getGenesisHash: [], getSlot: [], getBlockHeight: [], getSlotLeader: [], getSlotLeaders: [slot, 2], getTransactionCount: [],
  getSupply: [], getTotalSupply: [], getLargestAccounts: [], getInflationGovernor: [], getInflationRate: [], getEpochInfo: [], getEpochSchedule: [],
  getLeaderSchedule: [], getClusterNodes: [], getVoteAccounts: [], getFirstAvailableBlock: [], getMinimumLedgerSlot: [], getRecentPerformanceSamples: [3],
  getBlockProduction: [], getLatestBlockhashAndContext: [], getStakeMinimumDelegation: [], getInflationReward: [[payer.publicKey]],
  isBlockhashValid: async () => [(await raw.getLatestBlockhash()).blockhash],
};
// Methods that nodes no longer have; the client still offers them.
Object.assign(asked, {
  getRecentBlockhash: [], getRecentBlockhashAndContext: [], getFeeCalculatorForBlockhash: [fresh().toBase58()], getConfirmedBlock: [slot],
  getConfirmedTransaction: [sent], getParsedConfirmedTransaction: [sent], getParsedConfirmedTransactions: [[sent]],
  getConfirmedBlockSignatures: [slot], getConfirmedSignaturesForAddress: [payer.publicKey, slot, slot + 1],
  getConfirmedSignaturesForAddress2: [payer.publicKey], getStakeActivation: [payer.publicKey],
});
for (const [name, given] of Object.entries(asked)) {
  await report.step(`${name} is answered or refused, in a shape the client knows`, async () => {
    try {
      assert.notEqual(await connection[name](...(typeof given === 'function' ? await given() : given)), undefined);
    } catch (error) {
      assert.equal(error.name, 'SolanaJSONRPCError', error.stack);
    }
  });
}

report.print();
