// Everything @nosana/sdk offers, done on a chain. Prints a report (lib/report.mjs). This client reads the programs' interfaces
// from the chain, sends legacy transactions, and looks for the socket on the port after the RPC port.
import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import anchor from '@coral-xyz/anchor';
import { getAssociatedTokenAddressSync } from '@solana/spl-token';
import { Keypair, LAMPORTS_PER_SOL, PublicKey, SystemProgram, TransactionMessage, VersionedTransaction } from '@solana/web3.js';
import { input, refused, Report, until } from './lib/report.mjs';

const { Client, SolanaManager } = await import('@nosana/sdk');

const { BN } = anchor;
const DAY = 86_400;
const NOBODY = SystemProgram.programId.toBase58();
const EMPTY_RESULT = 'QmNLei78zWmzUdbeRB3CiUfAizWUrbeeZh5K1rhAQKCh51';

const chain = await input();
const report = new Report();
const mint = new PublicKey(chain.programs.nosTokenAddress);
const staking = new PublicKey(chain.programs.stakeAddress);
const key = (name) => Keypair.fromSecretKey(Uint8Array.from(chain.keys[name]));
const ata = (owner, token = mint) => getAssociatedTokenAddressSync(token, owner);
const pda = (seeds, program) => PublicKey.findProgramAddressSync(seeds, program)[0];

// The web service that keeps vaults, as far as the client needs it: it names a vault, and signs what leaves it.
const vault = Keypair.generate();
const backend = createServer(async (request, response) => {
  const reply = (document) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document));
  if (request.url.endsWith('/withdraw')) return reply({ transaction: await withdrawal() });
  const one = { vault: vault.publicKey.toBase58(), created_at: new Date(0).toISOString() };
  return reply(request.method === 'GET' ? [one] : one);
});
// A client keeps its connection; the server must not be the first to close it.
backend.keepAliveTimeout = 600_000;
await new Promise((listening) => backend.listen(0, '127.0.0.1', listening));

function connect(wallet, solana = {}) {
  const client = new Client(chain.network, JSON.stringify([...wallet.secretKey]), {
    solana: {
      network: chain.rpc,
      jobs_address: chain.programs.jobsAddress,
      nos_address: chain.programs.nosTokenAddress,
      rewards_address: chain.programs.rewardsAddress,
      nodes_address: chain.programs.nodesAddress,
      stake_address: chain.programs.stakeAddress,
      pools_address: chain.programs.poolsAddress,
      market_address: chain.market,
      dynamicPriorityFee: false,
      priority_fee: 1_000,
      feePayer: undefined,
      ...solana,
    },
    ipfs: { api: chain.content, gateway: `${chain.content}/ipfs/`, jwt: 'localnet' },
    api: { backend_url: `http://127.0.0.1:${backend.address().port}` },
  });
  const base = SolanaManager.prototype;
  // A blockhash lives for 150 slots, and these may be short; the client would keep one for 30 s.
  for (const { connection } of [client.solana, client.jobs, client.nodes, client.stake]) connection._disableBlockhashCaching = true;
  return {
    raw: client,
    connection: client.solana.connection,
    key: wallet.publicKey,
    solana: report.watch(client.solana, 'solana'),
    jobs: report.watch(client.jobs, 'jobs', base),
    nodes: report.watch(client.nodes, 'nodes', base),
    stake: report.watch(client.stake, 'stake', base),
    swap: report.watch(client.swap, 'swap', base),
    ipfs: report.watch(client.ipfs, 'ipfs'),
    authorization: report.watch(client.authorization, 'authorization'),
    deployments: report.watch(client.deployments, 'deployments'),
    vaults: report.watch(client.deployments.vaults, 'deployments.vaults'),
  };
}

const wallets = Object.fromEntries(['node', 'other', 'staker', 'payer'].map((name) => [name, Keypair.generate()]));
const P = connect(key('poster'));
const { connection } = P;
for (const wallet of Object.values(wallets)) {
  await P.raw.solana.sendSol(5 * LAMPORTS_PER_SOL, wallet.publicKey);
  await P.raw.solana.sendNos(100_000_000, wallet.publicKey);
}
const N = connect(wallets.node), M = connect(wallets.other), S = connect(wallets.staker), O = connect(key('market-authority'));

async function withdrawal() {
  const { blockhash } = await connection.getLatestBlockhash();
  const instructions = [SystemProgram.transfer({ fromPubkey: vault.publicKey, toPubkey: P.key, lamports: 1_000_000 })];
  const message = new TransactionMessage({ payerKey: P.key, recentBlockhash: blockhash, instructions }).compileToV0Message();
  const transaction = new VersionedTransaction(message);
  transaction.sign([vault]);
  return Buffer.from(transaction.serialize()).toString('base64');
}

let made = 0;
const definition = () => ({
  version: '0.1', type: 'container',
  ops: [{ type: 'container/run', id: 'one', args: { image: 'x', cmd: [`${performance.timeOrigin} ${(made += 1)}`] } }],
});
const post = async (market, ...more) => P.jobs.list(await P.ipfs.pin(definition()), 600, market, ...more);
const micro = async (of) => Number((await P.solana.getNosBalance(of))?.amount ?? 0);
const hash = async () => {
  const cid = await N.ipfs.pin(definition());
  return { cid, bytes: N.ipfs.IpfsHashToByteArray(cid) };
};

await report.step('balances and addresses are read', async () => {
  assert.equal(await P.solana.getSolBalance(wallets.node.publicKey), 5 * LAMPORTS_PER_SOL);
  assert.equal(await N.solana.getSolBalance(), await P.solana.getSolBalance(N.key.toBase58()));
  const { amount, decimals, uiAmount, uiAmountString } = await P.solana.getNosBalance(N.key);
  assert.deepEqual([amount, decimals, uiAmount, uiAmountString], ['100000000', 6, 100, '100']);
  assert.equal((await P.solana.getTokenBalance(mint.toBase58(), N.key.toBase58())).amount, '100000000');
  assert.equal(await P.solana.getNosBalance(Keypair.generate().publicKey), undefined);
  // Their mints are on no localnet, and a node refuses to look for accounts of a mint that does not exist.
  await refused(() => P.solana.getUsdcBalance(), /could not find mint/);
  if (chain.network === 'mainnet') await refused(() => P.solana.getUsdtBalance(), /could not find mint/);
  else assert.equal(await P.solana.getUsdtBalance(), undefined);
  assert.ok((await P.solana.getNosATA(N.key.toBase58())).equals(ata(N.key)));
  const metadata = new PublicKey('metaqbxxUerdq28cj1RbAWkYQm3ybzjb6a8bt518x1s');
  assert.ok(P.solana.getMetadataPDA(mint).equals(pda([Buffer.from('metadata'), metadata.toBuffer(), mint.toBuffer()], metadata)));
});

await report.step('interfaces are loaded from the chain, addresses derived', async () => {
  await P.solana.loadNosanaJobs();
  await P.solana.loadNosanaNodes();
  await P.solana.loadNosanaStake();
  await P.solana.setAccounts();
  await P.solana.setStakeAccounts();
  assert.equal(P.raw.solana.jobs.idl.name, 'nosana_jobs');
  assert.equal(P.raw.solana.jobs.idl.instructions.length, 19);
  assert.ok(P.raw.solana.accounts.vault.equals(pda([new PublicKey(chain.market).toBuffer(), mint.toBuffer()], new PublicKey(chain.programs.jobsAddress))));
});

await report.step('SOL and NOS are given and sent, and the transactions read back', async () => {
  const to = Keypair.generate().publicKey;
  const { lastValidBlockHeight } = await connection.getLatestBlockhash();
  const airdrop = await P.solana.requestAirdrop(LAMPORTS_PER_SOL, to);
  assert.deepEqual(await P.solana.pollTransactionStatus(airdrop, lastValidBlockHeight + 150), { success: true });
  const one = await P.solana.sendSol(2_000_000, to.toBase58());
  const two = await P.solana.sendNos(3_000_000, to.toBase58());
  assert.equal(await P.solana.getSolBalance(to), LAMPORTS_PER_SOL + 2_000_000);
  assert.equal(await micro(to), 3_000_000);
  assert.equal(await P.solana.checkTransactionConfirmation(two), true);
  const [first, second] = await P.solana.getParsedTransactions([one, two], { commitment: 'confirmed', maxSupportedTransactionVersion: 0 });
  const parsed = (transaction) => transaction.transaction.message.instructions.map((each) => each.parsed?.type ?? each.programId.toBase58());
  assert.deepEqual(parsed(first), ['ComputeBudget111111111111111111111111111111', 'transfer']);
  assert.deepEqual(parsed(second), ['ComputeBudget111111111111111111111111111111', 'create', 'transfer']);
  assert.equal(second.meta.err, null);
  assert.equal((await P.solana.sendSol(1, to, true)).length, 1);
  assert.equal((await P.solana.sendNos(1, to, true)).length, 1);
  await refused(() => S.solana.sendNos(10 ** 12, to), /insufficient funds/);
  const dry = connect(Keypair.generate());
  await refused(() => dry.solana.sendSol(1, to), /Attempt to debit an account but found no record of a prior credit/);
  assert.equal(await P.solana.checkTransactionConfirmation(one.replace(/^./, (c) => (c === '2' ? '3' : '2'))), false);
});

await report.step('token accounts are made', async () => {
  const owner = Keypair.generate().publicKey;
  const instructions = await P.solana.createNosAta(owner.toBase58(), true);
  assert.equal(instructions.length, 2);
  assert.ok((await P.solana.createNosAta(owner.toBase58())).equals(ata(owner)));
  assert.equal(await P.solana.createNosAta(owner.toBase58()), undefined);
  assert.equal(await micro(owner), 0);
});

await report.step('a message is signed and checked', async () => {
  assert.equal(P.solana.signMessage('hello', true), true);
  assert.equal(P.solana.signMessage('hello').length, 64);
  const text = await P.authorization.generate('hello', { includeTime: true });
  assert.equal(P.authorization.validate(text, { publicKey: P.key }), true);
  const headers = await P.authorization.generateHeader('hello');
  assert.equal(N.authorization.validateHeader(Object.fromEntries(headers), { publicKey: P.key }), true);
});

await report.step('content is pinned and fetched', async () => {
  const document = definition();
  const cid = await P.jobs.pinJobDefinition(document);
  assert.deepEqual(await P.ipfs.retrieve(cid), document);
  const file = join(mkdtempSync(join(tmpdir(), 'gpn-')), 'job.json');
  writeFileSync(file, JSON.stringify(document));
  assert.equal(await P.ipfs.pinFile(file), cid);
  assert.deepEqual(await P.ipfs.retrieve(P.ipfs.IpfsHashToByteArray(cid)), document);
  await refused(() => P.jobs.pinJobDefinition({ version: '0.1' }), /Invalid job definition/);
});

let market;
await report.step('a market is opened, changed and read', async () => {
  const opened = await O.jobs.createMarket({
    jobExpiration: new BN(3), jobPrice: new BN(500), jobTimeout: new BN(3_600), jobType: 0,
    nodeStakeMinimum: new BN(0), nodeAccessKey: SystemProgram.programId,
  });
  market = opened.market;
  const seen = await P.jobs.getMarket(market);
  assert.deepEqual([seen.jobPrice.toNumber(), seen.jobTimeout.toNumber(), seen.queueType, seen.queue], [500, 3_600, 255, []]);
  await O.jobs.updateMarket(market, { jobPrice: 1_000 });
  assert.equal((await P.jobs.getMarket(new PublicKey(market))).jobPrice.toNumber(), 1_000);
  const instruction = await O.jobs.updateMarket(market, { jobPrice: 1 }, true);
  assert.equal(instruction.keys.length, 3);
  await refused(() => P.jobs.updateMarket(market, { jobPrice: 1 }), /Unauthorized|0x1770/);
  const all = (await P.jobs.allMarkets()).map((one) => one.address.toBase58());
  assert.ok(all.includes(market) && all.includes(chain.market));
});

await report.step('a waiting job is listed, extended and delisted', async () => {
  const before = await micro(P.key);
  const { job } = await post(market);
  const seen = await P.jobs.get(job);
  assert.deepEqual([seen.timeout.toNumber(), seen.state, seen.ipfsResult, seen.node.toBase58()], [600, 'QUEUED', EMPTY_RESULT, NOBODY]);
  assert.deepEqual((await P.jobs.getMarket(market)).queue.map(String), [job]);
  await P.jobs.extend(job, 60);
  assert.equal((await P.jobs.get(job)).timeout.toNumber(), 660);
  assert.equal(before - (await micro(P.key)), 660_000);
  assert.equal((await P.jobs.extend(job, 60, true)).keys.length, 10);
  assert.equal((await P.jobs.delist(job, true)).keys.length, 7);
  await refused(() => M.jobs.delist(job), /Unauthorized|0x1770/);
  await P.jobs.delist(job);
  assert.equal(await micro(P.key), before);
  await refused(() => P.jobs.get(job), /Account does not exist/);
  const whole = await P.jobs.list(definition(), 30, new PublicKey(market));
  await P.jobs.delist(whole.job);
  assert.equal((await P.jobs.list(await P.ipfs.pin(definition()), 30, market, undefined, true)).keys.length, 12);
});

await report.step('a job is paid by another wallet than its project', async () => {
  const before = await micro(wallets.payer.publicKey);
  const { job } = await post(market, undefined, undefined, wallets.payer);
  const seen = await P.jobs.get(job);
  assert.deepEqual([String(seen.project), String(seen.payer)], [String(P.key), String(wallets.payer.publicKey)]);
  await P.jobs.extend(job, 10, undefined, wallets.payer);
  assert.equal(before - (await micro(wallets.payer.publicKey)), 610_000);
  await P.jobs.delist(job);
  assert.equal(await micro(wallets.payer.publicKey), before);
});

await report.step('stakes are made and read', async () => {
  for (const who of [N, M]) await who.stake.create(who.key, 0, 14);
  await S.stake.create(S.key, 10_000_000, 14);
  const seen = await P.stake.get(S.key.toBase58());
  assert.deepEqual([seen.amount.toNumber(), seen.duration.toNumber(), String(seen.authority)], [10_000_000, 14 * DAY, String(S.key)]);
  assert.ok((await P.stake.all()).some((one) => one.account.authority.equals(S.key)));
  // This client looks for token accounts that belong to the vault's address, and the vault belongs to itself.
  assert.equal(await S.stake.getStakeVaultBalance(), 10);
  const rewards = await S.stake.getRewardsInfo();
  assert.equal(rewards.account.xnos.toString(), seen.xnos.toString());
  assert.ok(rewards.global.totalXnos.gte(seen.xnos));
  await refused(() => S.stake.create(S.key, 1, 14), /Something went wrong while creating stake account/);
});

await report.step('a node queues and leaves', async () => {
  await N.jobs.work(market);
  const seen = await P.jobs.getMarket(market);
  assert.deepEqual([seen.queueType, seen.queue.map(String)], [1, [String(N.key)]]);
  await refused(() => N.jobs.work(market), /NodeAlreadyQueued|0x177e/);
  await N.jobs.stop(market);
  assert.deepEqual((await P.jobs.getMarket(market)).queue, []);
  await N.jobs.work(new PublicKey(market));
  await O.jobs.stop(market, N.key);
  assert.deepEqual((await P.jobs.getMarket(market)).queue, []);
});

let finished;
await report.step('a waiting node gets the job and is paid for its result', async () => {
  const [had, earned] = [await micro(P.key), await micro(N.key)];
  await N.jobs.work(market);
  const { job, run } = await post(market);
  const seen = await P.jobs.get(job);
  assert.deepEqual([seen.state, seen.node], ['RUNNING', String(N.key)]);
  const one = await P.jobs.getRun(run);
  assert.deepEqual([String(one.account.job), String(one.account.node), String(one.account.payer)], [job, String(N.key), String(P.key)]);
  assert.deepEqual((await P.jobs.getRuns(job)).map((each) => String(each.publicKey)), [run]);
  const filters = [{ memcmp: { offset: 40, bytes: N.key.toBase58() } }];
  assert.deepEqual((await P.jobs.getRuns(filters)).map((each) => String(each.publicKey)), [run]);
  assert.ok((await P.jobs.getActiveRuns()).some((each) => String(each.publicKey) === run));
  assert.deepEqual((await P.jobs.getMultiple([job])).map((each) => each.state), ['RUNNING']);
  assert.deepEqual((await P.jobs.getMultiple([new PublicKey(job)], false)).map((each) => each.state), ['QUEUED']);
  const { cid, bytes } = await hash();
  await N.jobs.submitResult(bytes, run, market);
  const done = await P.jobs.get(job);
  assert.deepEqual([done.state, done.ipfsResult, String(done.node)], ['COMPLETED', cid, String(N.key)]);
  const pay = 1_000 * Math.min(done.timeEnd - done.timeStart, 600);
  assert.equal((await micro(N.key)) - earned, pay);
  assert.equal(had - (await micro(P.key)), pay);
  await refused(() => P.jobs.getRun(run), /Account does not exist/);
  finished = job;
});

await report.step('jobs are found by state, project, node and market', async () => {
  const found = async (filters) => (await P.jobs.all(filters)).map((one) => String(one.pubkey));
  for (const filters of [undefined, { state: 2 }, { project: P.key.toBase58() }, { node: N.key.toBase58() }, { market }]) {
    assert.ok((await found(filters)).includes(finished), JSON.stringify(filters));
  }
  for (const filters of [{ state: 3 }, { project: N.key.toBase58() }, { market: chain.market }]) {
    assert.ok(!(await found(filters)).includes(finished), JSON.stringify(filters));
  }
  const [one] = (await P.jobs.all({ node: N.key.toBase58() })).filter((each) => String(each.pubkey) === finished);
  assert.deepEqual([one.state, one.timeEnd >= one.timeStart, one.timeStart > 0], [2, true, true]);
  assert.ok((await P.jobs.allFullJobs()).some((each) => String(each.pubkey) === finished));
});

await report.step('a chosen node is assigned a job', async () => {
  await N.jobs.work(market);
  await M.jobs.work(market);
  const { job, run } = await post(market, M.key.toBase58());
  assert.equal((await P.jobs.get(job)).node, String(M.key));
  assert.deepEqual((await P.jobs.getMarket(market)).queue.map(String), [String(N.key)]);
  await M.jobs.submitResult((await hash()).bytes, await P.jobs.getRun(run), await P.jobs.getMarket(market));
  assert.equal((await P.jobs.get(job)).state, 'COMPLETED');
  await N.jobs.stop(market);
});

await report.step('a running job is ended, and its result handed in', async () => {
  const { job } = await post(market);
  await N.jobs.work(market);
  assert.equal((await P.jobs.end(job, true)).length, 1);
  await P.jobs.end(job);
  const seen = await P.jobs.get(job);
  assert.deepEqual([seen.state, seen.ipfsResult, String(seen.node)], ['COMPLETED', EMPTY_RESULT, String(N.key)]);
  const { cid, bytes } = await hash();
  await refused(() => M.jobs.complete(bytes, job), /Unauthorized|0x1770/);
  await N.jobs.complete(bytes, job);
  assert.equal((await P.jobs.get(job)).ipfsResult, cid);
  await refused(() => N.jobs.complete(bytes, job), /already been completed/);
  await refused(() => P.jobs.end(job), /cannot be ended when finished/);
});

await report.step('a node gives a job back', async () => {
  const { job } = await post(market);
  await N.jobs.work(market);
  const [run] = await P.jobs.getRuns(job);
  await N.jobs.quit(run.publicKey.toBase58());
  const seen = await P.jobs.get(job);
  assert.deepEqual([seen.state, String(seen.node)], ['STOPPED', NOBODY]);
});

await report.step('dynamic fees are asked for and paid', async () => {
  const D = connect(wallets.node, { dynamicPriorityFee: true, priorityFeeStrategy: 'medium', maximumPriorityFee: 15_000_000 });
  const before = await connection.getSlot('confirmed');
  const signature = await D.jobs.work(market);
  const { transaction, slot } = await connection.getTransaction(signature, { commitment: 'confirmed', maxSupportedTransactionVersion: 0 });
  assert.ok(slot >= before);
  const programs = transaction.message.programIds().map(String);
  assert.ok(programs.includes('ComputeBudget111111111111111111111111111111'), programs.join());
  await D.jobs.stop(market);
  connect(wallets.node);
});

await report.step('another pays the fee', async () => {
  const F = connect(wallets.other, { feePayer: wallets.payer });
  const [own, his] = [await P.solana.getSolBalance(M.key), await P.solana.getSolBalance(wallets.payer.publicKey)];
  const builder = F.raw.jobs;
  await builder.loadNosanaJobs();
  await builder.work(market);
  const stop = builder.jobs.methods.stop().accounts({ market: new PublicKey(market), node: M.key, authority: M.key }).signers([]);
  await F.solana.sendAndConfirm(stop);
  assert.ok((await P.solana.getSolBalance(wallets.payer.publicKey)) < his);
  assert.ok((await P.solana.getSolBalance(M.key)) <= own);
  connect(wallets.other);
});

await report.step('an admin cleans up a job', async () => {
  const A = connect(key('market-admin'));
  await P.solana.sendSol(LAMPORTS_PER_SOL, A.key);
  await refused(() => N.jobs.cleanAdmin(finished), /Unauthorized|0x1770/);
  assert.equal((await A.jobs.cleanAdmin(finished, true)).keys.length, 3);
  await A.jobs.cleanAdmin(finished);
  await refused(() => P.jobs.get(finished), /Account does not exist/);
});

await report.step('nodes register and are read', async () => {
  await N.nodes.loadNosanaNodes();
  const { nodes } = N.raw.nodes;
  const address = pda([Buffer.from('node'), N.key.toBuffer()], nodes.programId);
  await nodes.methods.register(0, 528, 8, 1, 16, 1_000, 100, 'http://x', 'icon', '1.0.0')
    .accounts({ node: address, payer: N.key, authority: N.key, systemProgram: SystemProgram.programId }).rpc();
  const seen = await P.nodes.get(address.toBase58());
  assert.deepEqual([String(seen.authority), seen.country, seen.cpu, seen.audited, seen.endpoint], [String(N.key), 528, 8, false, 'http://x']);
  const same = await P.nodes.get(N.key.toBase58(), { authority: true });
  assert.equal(same.address, address.toBase58());
  assert.ok((await P.nodes.all()).some((one) => one.address === address.toBase58()));
});

await report.step('a token of a collection is found, lets its holder in, and is passed on', async () => {
  const { key: secret, mint: nft, collection } = chain.staged.holder;
  const holder = Keypair.fromSecretKey(Uint8Array.from(secret));
  await P.solana.sendSol(LAMPORTS_PER_SOL, holder.publicKey);
  await P.solana.sendNos(1_000_000, holder.publicKey);
  const H = connect(holder);
  assert.equal(String(await P.solana.getNftFromCollection(holder.publicKey.toBase58(), collection)), nft);
  assert.equal(await P.solana.getNftFromCollection(P.key, collection), undefined);
  const closed = await O.jobs.createMarket({
    jobExpiration: new BN(3), jobPrice: new BN(1), jobTimeout: new BN(60), jobType: 0,
    nodeStakeMinimum: new BN(0), nodeAccessKey: new PublicKey(collection),
  });
  await H.stake.create(holder.publicKey, 0, 14);
  await refused(() => N.jobs.work(closed.market), /NodeKeyInvalidCollection|0x1782/);
  await H.jobs.work(closed.market, new PublicKey(nft));
  assert.deepEqual((await P.jobs.getMarket(closed.market)).queue.map(String), [String(holder.publicKey)]);
  await H.solana.transferNft(P.key.toBase58(), nft);
  assert.equal(String(await P.solana.getNftFromCollection(P.key, collection)), nft);
  await P.solana.transferNft(holder.publicKey, new PublicKey(nft));
});

await report.step('making tokens of a collection wants the metadata program, which is not here', async () => {
  await refused(() => P.solana.createNodeCollection(), /program that does not exist|Unsupported program id|ProgramAccountNotFound|simulation failed/i);
  await refused(() => P.solana.createAndVerifySft(mint.toBase58()), /program that does not exist|Unsupported program id|ProgramAccountNotFound|simulation failed/i);
});

await report.step('a vault is topped up and emptied', async () => {
  const { publicKey, ...one } = await P.vaults.create();
  assert.ok(publicKey.equals(vault.publicKey));
  assert.deepEqual((await P.vaults.list()).map((each) => String(each.publicKey)), [String(vault.publicKey)]);
  const held = report.watch(one, 'vault');
  assert.deepEqual(await held.getBalance(), { SOL: 0, NOS: 0 });
  await held.topup({ SOL: 0.5, NOS: 2 });
  await until(() => held.getBalance(), ({ SOL, NOS }) => SOL === 0.5 && NOS === 2);
  await held.topup({ SOL: 1_000, NOS: 1, lamports: true });
  await until(() => held.getBalance(), ({ SOL, NOS }) => SOL === 0.500001 && NOS === 2.000001);
  await held.withdraw();
  await until(() => held.getBalance(), ({ SOL }) => SOL === 0.499001);
});

await report.step('a transaction made by an exchange is signed and sent', async () => {
  const { blockhash, lastValidBlockHeight } = await connection.getLatestBlockhash();
  const to = Keypair.generate().publicKey;
  const instructions = [SystemProgram.transfer({ fromPubkey: P.key, toPubkey: to, lamports: 1_000_000 })];
  const message = new TransactionMessage({ payerKey: P.key, recentBlockhash: blockhash, instructions }).compileToV0Message();
  const unsigned = Buffer.from(new VersionedTransaction(message).serialize()).toString('base64');
  await P.swap.makeSwapTransaction(lastValidBlockHeight, unsigned);
  await until(() => P.solana.getSolBalance(to), (lamports) => lamports === 1_000_000);
});

await report.step('the client has no service that is left out here', async () => {
  const known = ['api', 'authorization', 'deployments', 'ipfs', 'jobs', 'nodes', 'solana', 'stake', 'swap'];
  assert.deepEqual(Object.keys(P.raw).sort(), known);
});

// Most of what this client does with a stake also claims the fees of a pool, in the same transaction. The pools' program is
// on the public clusters and on no localnet, so that these are refused here, and must be.
await report.step('claiming what a pool releases wants the pools program, which is not here', async () => {
  await refused(() => S.stake.topup(1_000_000), /program that does not exist|Attempt to load|ProgramAccountNotFound/i);
  await refused(() => S.stake.extend(DAY), /Something went wrong extending the stake/);
  await refused(() => S.stake.unstake(), /Something went wrong while unstaking/);
  await refused(() => S.stake.restake(), /Something went wrong while restaking/);
  await refused(() => S.stake.claimRewards(), /Something went wrong while withdrawing/);
  await refused(() => S.stake.claimAndRestakeRewards(1), /Something went wrong while withdrawing/);
  await refused(() => S.stake.getPoolInfo(), /Account does not exist/);
  const stake = await P.stake.get(S.key);
  assert.deepEqual([stake.amount.toNumber(), stake.duration.toNumber(), stake.timeUnstake.toNumber()], [10_000_000, 14 * DAY, 0]);
});

await report.step('a stake is given up, and taken back in parts', async () => {
  const U = connect(wallets.payer);
  await U.stake.loadNosanaStake();
  await U.stake.setStakeAccounts();
  const { stake, stakeAccounts } = U.raw.stake;
  const own = U.raw.stake;
  // The program itself, without the client's entry into the rewards: that comes with a call of its own.
  await stake.program.methods.stake(new BN(20_000_000), new BN(14 * DAY)).accounts(stakeAccounts).rpc();
  await U.stake.createRewardAccount();
  assert.ok((await U.stake.getRewardsInfo()).account.authority.equals(U.key));
  await stake.rewardsProgram.methods.sync().accounts({ ...stakeAccounts, vault: own.poolAccounts.rewardsVault }).rpc();
  await stake.rewardsProgram.methods.claim().accounts({ ...stakeAccounts, vault: own.poolAccounts.rewardsVault }).rpc();
  await stake.program.methods.topup(new BN(1_000_000)).accounts(stakeAccounts).rpc();
  await stake.program.methods.extend(new BN(DAY)).accounts(stakeAccounts).rpc();
  await refused(() => stake.program.methods.unstake().accounts(stakeAccounts).rpc(), /HasReward|reward account/);
  await stake.rewardsProgram.methods.close().accounts(stakeAccounts).rpc();
  await U.stake.unstake();
  const given = await P.stake.get(U.key);
  assert.ok(given.timeUnstake.toNumber() > 0 && given.xnos.isZero());
  const before = await micro(U.key);
  const now = async () => connection.getBlockTime(await connection.getSlot('confirmed'));
  await until(now, (at) => at > given.timeUnstake.toNumber() + 2);
  await U.stake.withdraw();
  const part = (await micro(U.key)) - before;
  assert.ok(part > 0 && part < 100_000, `of 21 NOS over 15 days, ${part} in some seconds`);
  await refused(() => U.stake.close(false), /Something went wrong while closing/);
  await stake.program.methods.restake().accounts(stakeAccounts).rpc();
  const again = await P.stake.get(U.key);
  assert.deepEqual([again.amount.toNumber(), again.timeUnstake.toNumber()], [21_000_000 - part, 0]);
});

await report.step('a stake given up long ago is taken back whole, and closed', async () => {
  const old = Keypair.fromSecretKey(Uint8Array.from(chain.staged.unstaked.key));
  await P.solana.sendSol(LAMPORTS_PER_SOL, old.publicKey);
  const U = connect(old);
  const transactions = await U.stake.close();
  assert.equal(transactions.length, 2);
  assert.equal(await micro(old.publicKey), chain.staged.unstaked.amount);
  await refused(() => P.stake.get(old.publicKey), /Account does not exist/);
});

backend.close();
report.print();
