// A suite as the authors of a program write it: mocha, anchor's Program on AnchorProvider.env(), the SPL token library, on a chain
// that has programs only. It makes everything else itself.
import assert from 'node:assert/strict';
import anchor from '@anchor-lang/core';
import { createMint, getAccount, getOrCreateAssociatedTokenAccount, mintTo } from '@solana/spl-token';
import { modern, published } from './interface.mjs';

const { AnchorError, AnchorProvider, BN, Program, setProvider, web3 } = anchor;
const { ComputeBudgetProgram, Keypair, LAMPORTS_PER_SOL, PublicKey, SystemProgram, SYSVAR_RENT_PUBKEY } = web3;
const IDS = JSON.parse(process.env.SUITE_IDS);
const DAY = 86_400;
const NOBODY = SystemProgram.programId;
const TOKEN = new PublicKey('TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA');
const METADATA = new PublicKey('metaqbxxUerdq28cj1RbAWkYQm3ybzjb6a8bt518x1s');

const provider = AnchorProvider.env();
setProvider(provider);
const { connection, wallet } = provider;
// A blockhash lives for 150 slots, and these may be short; the client would keep one for 30 s.
connection._disableBlockhashCaching = true;

const programs = {};
const mint = new PublicKey(IDS.mint);
const tokens = {};
const nodes = [Keypair.generate(), Keypair.generate()];
const stranger = Keypair.generate();

const key = (name) => new PublicKey(IDS[name]);
const pda = (seeds, program) => PublicKey.findProgramAddressSync(seeds.map((seed) => (typeof seed === 'string' ? Buffer.from(seed) : seed.toBuffer())), program)[0];
const stakeOf = (owner) => pda(['stake', mint, owner], key('staking'));
const vaultOf = (owner) => pda(['vault', mint, owner], key('staking'));
const rewardOf = (owner) => pda(['reward', owner], key('rewards'));
const balance = async (of) => Number((await getAccount(connection, of)).amount);
const hash = () => [...crypto.getRandomValues(new Uint8Array(32))];

async function admin(method, ...params) {
  const response = await fetch(process.env.ANCHOR_PROVIDER_URL, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  const { result, error } = await response.json();
  assert.equal(error, undefined, JSON.stringify(error));
  return result;
}

async function airdrop(to, sol = 100) {
  const signature = await connection.requestAirdrop(to, sol * LAMPORTS_PER_SOL);
  await connection.confirmTransaction({ signature, ...(await connection.getLatestBlockhash()) });
}

// A transaction that is sent twice must not be the same one: the next blockhash makes the difference.
async function nextBlock() {
  const { blockhash } = await connection.getLatestBlockhash();
  while ((await connection.getLatestBlockhash()).blockhash === blockhash) await new Promise((done) => setTimeout(done, 20));
}

// The call must fail with anchor's own error of that name.
async function fails(call, name) {
  let thrown = null;
  try {
    await call;
  } catch (error) {
    thrown = error;
  }
  assert.ok(thrown, `expected ${name}`);
  assert.ok(thrown instanceof AnchorError, `${name}: ${thrown}\n${thrown.logs?.join('\n')}`);
  assert.equal(thrown.error.errorCode.code, name);
  return thrown;
}

const market = { price: new BN(1_000), timeout: new BN(3_600), expiration: new BN(60), type: 0, minimum: new BN(0) };

function openMarket(terms = {}, accessKey = NOBODY) {
  const { price, timeout, expiration, type, minimum } = { ...market, ...terms };
  const one = Keypair.generate();
  const vault = pda([one.publicKey, mint], key('jobs'));
  const call = programs.jobs.methods.open(expiration, price, timeout, type, minimum).accountsPartial({
    mint, market: one.publicKey, vault, authority: wallet.publicKey, accessKey,
    rent: SYSVAR_RENT_PUBKEY, systemProgram: SystemProgram.programId, tokenProgram: TOKEN,
  }).signers([one]);
  return { market: one.publicKey, vault, call };
}

function listJob(at, extra = {}, { timeout = 600, ipfs = hash() } = {}) {
  const [job, run] = [Keypair.generate(), Keypair.generate()];
  const call = programs.jobs.methods.list(ipfs, new BN(timeout)).accountsPartial({
    job: job.publicKey, market: at.market, run: run.publicKey, user: tokens.wallet, vault: at.vault, payer: wallet.publicKey,
    rewardsReflection: pda(['reflection'], key('rewards')), rewardsVault: pda([mint], key('rewards')), authority: wallet.publicKey,
    rewardsProgram: key('rewards'), tokenProgram: TOKEN, systemProgram: SystemProgram.programId, ...extra,
  }).signers([job, run]);
  return { job: job.publicKey, run: run.publicKey, call, signers: [job, run] };
}

function enterQueue(at, node, extra = {}) {
  const run = Keypair.generate();
  const call = programs.jobs.methods.work().accountsPartial({
    run: run.publicKey, market: at.market, payer: node.publicKey, stake: stakeOf(node.publicKey), nft: tokens[node.publicKey],
    metadata: NOBODY, authority: node.publicKey, systemProgram: SystemProgram.programId, ...extra,
  }).signers([run, node]);
  return { run: run.publicKey, call };
}

function finishJob(at, node, job, run, { result = hash(), ...extra } = {}) {
  return programs.jobs.methods.finish(result).accountsPartial({
    job, run, market: at.market, vault: at.vault, deposit: tokens.wallet, user: tokens[node.publicKey], payerRun: wallet.publicKey,
    payerJob: wallet.publicKey, authority: node.publicKey, tokenProgram: TOKEN, ...extra,
  }).signers([node]);
}

const queue = async (at) => programs.jobs.account.marketAccount.fetch(at.market);

describe('setting up', () => {
  before(async () => {
    await airdrop(wallet.publicKey, 1_000);
    for (const one of [...nodes, stranger]) await airdrop(one.publicKey);
  });

  it('reads the interfaces from the chain', async () => {
    for (const name of ['jobs', 'nodes', 'staking', 'rewards']) {
      programs[name] = new Program(modern(await published(connection, key(name)), IDS[name]), provider);
      assert.ok(programs[name].programId.equals(key(name)));
    }
  });

  it('makes mints of its own, and uses the one of the network', async () => {
    const other = await createMint(connection, wallet.payer, wallet.publicKey, null, 6, Keypair.generate());
    assert.ok((await connection.getAccountInfo(other)).owner.equals(TOKEN));
    for (const one of [wallet.payer, ...nodes, stranger]) {
      const { address } = await getOrCreateAssociatedTokenAccount(connection, wallet.payer, mint, one.publicKey);
      tokens[one === wallet.payer ? 'wallet' : one.publicKey] = address;
      await mintTo(connection, wallet.payer, mint, address, wallet.payer, 1_000_000_000);
    }
    assert.equal(await balance(tokens.wallet), 1_000_000_000);
  });

  it('initialises staking, once', async () => {
    const init = () => programs.staking.methods.init().accountsPartial({
      settings: pda(['settings'], key('staking')), authority: wallet.publicKey, systemProgram: SystemProgram.programId, rent: SYSVAR_RENT_PUBKEY,
    }).rpc();
    await init();
    await nextBlock();
    const settings = await programs.staking.account.settingsAccount.fetch(pda(['settings'], key('staking')));
    assert.equal(String(settings.authority), 'XXXxddiNnmoD2h2LbQYaL76Swi21MaQbtBbRynAdQL8');
    await assert.rejects(init(), /already in use/);
  });

  it('initialises rewards, once', async () => {
    const init = () => programs.rewards.methods.init().accountsPartial({
      mint, reflection: pda(['reflection'], key('rewards')), vault: pda([mint], key('rewards')), authority: wallet.publicKey,
      systemProgram: SystemProgram.programId, tokenProgram: TOKEN, rent: SYSVAR_RENT_PUBKEY,
    }).rpc();
    await init();
    await nextBlock();
    const reflection = await programs.rewards.account.reflectionAccount.fetch(pda(['reflection'], key('rewards')));
    assert.equal(reflection.totalXnos.toString(), '0');
    await assert.rejects(init(), /already in use/);
  });
});

describe('staking', () => {
  const stake = (one, amount, duration) => programs.staking.methods.stake(new BN(amount), new BN(duration)).accountsPartial({
    mint, user: tokens[one.publicKey], vault: vaultOf(one.publicKey), stake: stakeOf(one.publicKey), authority: one.publicKey,
    systemProgram: SystemProgram.programId, tokenProgram: TOKEN, rent: SYSVAR_RENT_PUBKEY,
  }).signers([one]).rpc();
  const held = (one) => ({ user: tokens[one.publicKey], vault: vaultOf(one.publicKey), stake: stakeOf(one.publicKey), authority: one.publicKey, tokenProgram: TOKEN });

  it('refuses durations outside the bounds', async () => {
    await fails(stake(nodes[0], 1, 14 * DAY - 1), 'DurationTooShort');
    await fails(stake(nodes[0], 1, 365 * DAY + 1), 'DurationTooLong');
  });

  it('stakes, tops up, extends', async () => {
    for (const node of nodes) await stake(node, 10_000_000, 14 * DAY);
    await programs.staking.methods.topup(new BN(5)).accountsPartial(held(nodes[0])).signers([nodes[0]]).rpc();
    await programs.staking.methods.extend(new BN(DAY)).accountsPartial({ stake: stakeOf(nodes[0].publicKey), authority: nodes[0].publicKey }).signers([nodes[0]]).rpc();
    const seen = await programs.staking.account.stakeAccount.fetch(stakeOf(nodes[0].publicKey));
    assert.deepEqual([seen.amount.toNumber(), seen.duration.toNumber()], [10_000_005, 15 * DAY]);
    await fails(programs.staking.methods.topup(new BN(0)).accountsPartial(held(nodes[0])).signers([nodes[0]]).rpc(), 'AmountNotEnough');
    await fails(programs.staking.methods.extend(new BN(0)).accountsPartial({ stake: stakeOf(nodes[0].publicKey), authority: nodes[0].publicKey }).signers([nodes[0]]).rpc(), 'DurationTooShort');
    await fails(programs.staking.methods.topup(new BN(5)).accountsPartial({ ...held(nodes[0]), authority: stranger.publicKey }).signers([stranger]).rpc(), 'Unauthorized');
  });

  it('shares rewards, given up and taken back over time', async () => {
    const [one] = nodes;
    const share = { reflection: pda(['reflection'], key('rewards')), stake: stakeOf(one.publicKey), reward: rewardOf(one.publicKey), authority: one.publicKey };
    await programs.rewards.methods.enter().accountsPartial({ ...share, systemProgram: SystemProgram.programId }).signers([one]).rpc();
    await programs.rewards.methods.addFee(new BN(1_000_000)).accountsPartial({
      user: tokens.wallet, reflection: share.reflection, vault: pda([mint], key('rewards')), authority: wallet.publicKey, tokenProgram: TOKEN,
    }).rpc();
    const before = await balance(tokens[one.publicKey]);
    await programs.rewards.methods.claim().accountsPartial({ ...share, user: tokens[one.publicKey], vault: pda([mint], key('rewards')), tokenProgram: TOKEN }).signers([one]).rpc();
    const gained = (await balance(tokens[one.publicKey])) - before;
    assert.ok(gained > 999_000 && gained <= 1_000_000, `${gained}`);
    await programs.rewards.methods.sync().accountsPartial({ reward: share.reward, stake: share.stake, reflection: share.reflection }).rpc();
    const unstake = { stake: share.stake, reward: share.reward, authority: one.publicKey };
    await fails(programs.staking.methods.unstake().accountsPartial(unstake).signers([one]).rpc(), 'HasReward');
    await programs.rewards.methods.close().accountsPartial({ reflection: share.reflection, reward: share.reward, authority: one.publicKey }).signers([one]).rpc();
    await fails(programs.staking.methods.withdraw().accountsPartial(held(one)).signers([one]).rpc(), 'NotUnstaked');
    await programs.staking.methods.unstake().accountsPartial(unstake).signers([one]).rpc();
    await nextBlock();
    await fails(programs.staking.methods.unstake().accountsPartial(unstake).signers([one]).rpc(), 'AlreadyUnstaked');
    await fails(programs.staking.methods.close().accountsPartial(held(one)).signers([one]).rpc(), 'Locked');
    await admin('localnet_advance', { seconds: 15 * DAY + 1 });
    await fails(programs.staking.methods.close().accountsPartial(held(one)).signers([one]).rpc(), 'VaultNotEmpty');
    await programs.staking.methods.withdraw().accountsPartial(held(one)).signers([one]).rpc();
    await programs.staking.methods.close().accountsPartial(held(one)).signers([one]).rpc();
    assert.equal(await programs.staking.account.stakeAccount.fetchNullable(stakeOf(one.publicKey)), null);
    await stake(one, 10_000_000, 14 * DAY);
  });
});

describe('nodes', () => {
  const node = () => pda(['node', nodes[0].publicKey], key('nodes'));
  const profile = [0, 528, 8, 1, 16, 1_000, 100, 'http://node', 'icon', '1.0.0'];
  it('register, update and name what is wrong', async () => {
    const accounts = { node: node(), payer: nodes[0].publicKey, authority: nodes[0].publicKey, systemProgram: SystemProgram.programId };
    const { methods, account } = programs.nodes;
    const wrong = (index, value) => methods.register(...profile.with(index, value)).accountsPartial(accounts).signers([nodes[0]]).rpc();
    for (const [index, value, name] of [[0, 77, 'ArchitectureUnknown'], [1, 1, 'CountryCodeUnknown'], [2, 0, 'CpuInvalid'], [4, 0, 'MemoryInvalid'], [5, 0, 'IopsInvalid'], [6, 0, 'StorageInvalid']]) {
      await fails(wrong(index, value), name);
    }
    await methods.register(...profile).accountsPartial(accounts).signers([nodes[0]]).rpc();
    await methods.update(...profile.with(2, 16)).accountsPartial({ node: node(), authority: nodes[0].publicKey }).signers([nodes[0]]).rpc();
    const seen = await account.nodeAccount.fetch(node());
    assert.deepEqual([seen.cpu, seen.audited, seen.version], [16, false, '1.0.0']);
    await fails(methods.update(...profile).accountsPartial({ node: node(), authority: stranger.publicKey }).signers([stranger]).rpc(), 'Unauthorized');
    const [found] = await account.nodeAccount.all([{ memcmp: { offset: 8, bytes: nodes[0].publicKey.toBase58() } }]);
    assert.ok(found.publicKey.equals(node()));
  });
});

describe('jobs', () => {
  let at;
  before(async () => {
    at = openMarket();
    await at.call.rpc();
  });

  it('opens, updates and closes a market', async () => {
    const one = openMarket();
    await one.call.rpc();
    const { methods } = programs.jobs;
    await methods.update(new BN(1), new BN(2), 1, new BN(3), new BN(4)).accountsPartial({ market: one.market, accessKey: NOBODY, authority: wallet.publicKey }).rpc();
    const seen = await queue(one);
    assert.deepEqual([seen.jobExpiration.toNumber(), seen.jobPrice.toNumber(), seen.jobType, seen.nodeXnosMinimum.toNumber(), seen.jobTimeout.toNumber()], [1, 2, 1, 3, 4]);
    const close = (authority) => methods.close().accountsPartial({ market: one.market, vault: one.vault, user: tokens.wallet, authority: authority.publicKey, tokenProgram: TOKEN });
    await fails(methods.update(new BN(1), new BN(2), 1, new BN(3), new BN(4)).accountsPartial({ market: one.market, accessKey: NOBODY, authority: stranger.publicKey }).signers([stranger]).rpc(), 'Unauthorized');
    await close(wallet).rpc();
    assert.equal(await connection.getAccountInfo(one.market), null);
    await nextBlock();
    await fails(close(wallet).rpc(), 'AccountNotInitialized');
  });

  it('lists, extends, delists', async () => {
    const before = await balance(tokens.wallet);
    const { job, call } = listJob(at);
    await call.preInstructions([ComputeBudgetProgram.setComputeUnitLimit({ units: 300_000 }), ComputeBudgetProgram.setComputeUnitPrice({ microLamports: 1 })]).rpc();
    assert.deepEqual((await queue(at)).queue.map(String), [String(job)]);
    const held = { job, market: at.market, user: tokens.wallet, vault: at.vault, rewardsReflection: pda(['reflection'], key('rewards')), rewardsVault: pda([mint], key('rewards')), authority: wallet.publicKey, payer: wallet.publicKey, rewardsProgram: key('rewards'), tokenProgram: TOKEN };
    await programs.jobs.methods.extend(new BN(700)).accountsPartial(held).rpc();
    assert.equal(before - (await balance(tokens.wallet)), 700_000);
    await nextBlock();
    await fails(programs.jobs.methods.extend(new BN(700)).accountsPartial(held).rpc(), 'JobTimeoutNotGreater');
    const delist = { job, market: at.market, deposit: tokens.wallet, payer: wallet.publicKey, vault: at.vault, tokenProgram: TOKEN, authority: wallet.publicKey };
    await fails(programs.jobs.methods.delist().accountsPartial({ ...delist, authority: stranger.publicKey }).signers([stranger]).rpc(), 'Unauthorized');
    await fails(programs.jobs.methods.delist().accountsPartial({ ...delist, vault: tokens.wallet }).rpc(), 'ConstraintDuplicateMutableAccount');
    await programs.jobs.methods.delist().accountsPartial(delist).rpc();
    assert.equal(await balance(tokens.wallet), before);
    assert.equal((await queue(at)).queueType, 255);
  });

  it('gives a waiting node its job, and pays for the result', async () => {
    const [node] = nodes;
    const waiting = enterQueue(at, node);
    await waiting.call.rpc();
    await fails(enterQueue(at, node).call.rpc(), 'NodeAlreadyQueued');
    const { job, run, call } = listJob(at);
    await call.rpc();
    const seen = await programs.jobs.account.runAccount.fetch(run);
    assert.ok(seen.node.equals(node.publicKey) && seen.job.equals(job));
    await fails(finishJob(at, node, job, run, { result: Array(32).fill(0) }).rpc(), 'JobResultNull');
    await fails(finishJob(at, nodes[1], job, run).rpc(), 'Unauthorized');
    const before = await balance(tokens[node.publicKey]);
    await admin('localnet_advance', { seconds: 10 });
    const result = hash();
    await finishJob(at, node, job, run, { result }).rpc();
    const done = await programs.jobs.account.jobAccount.fetch(job);
    assert.deepEqual([done.state, done.ipfsResult], [2, result]);
    const seconds = Math.min(done.timeEnd.sub(done.timeStart).toNumber(), 600);
    assert.ok(seconds >= 10);
    assert.equal((await balance(tokens[node.publicKey])) - before, seconds * 1_000);
    const clean = () => programs.jobs.methods.clean().accountsPartial({ job, market: at.market, payer: wallet.publicKey }).rpc();
    await fails(clean(), 'JobNotExpired');
    await admin('localnet_advance', { seconds: 61 });
    await clean();
    assert.equal(await connection.getAccountInfo(job), null);
  });

  it('assigns, ends, completes', async () => {
    for (const node of nodes) await enterQueue(at, node).call.rpc();
    const [job, run] = [Keypair.generate(), Keypair.generate()];
    const accounts = { job: job.publicKey, market: at.market, run: run.publicKey, node: nodes[1].publicKey, user: tokens.wallet, vault: at.vault, payer: wallet.publicKey, rewardsReflection: pda(['reflection'], key('rewards')), rewardsVault: pda([mint], key('rewards')), authority: wallet.publicKey, rewardsProgram: key('rewards'), tokenProgram: TOKEN, systemProgram: SystemProgram.programId };
    await fails(programs.jobs.methods.assign(hash(), new BN(60)).accountsPartial({ ...accounts, node: stranger.publicKey }).signers([job, run]).rpc(), 'NotInMarketQueue');
    await programs.jobs.methods.assign(hash(), new BN(60)).accountsPartial(accounts).signers([job, run]).rpc();
    assert.deepEqual((await queue(at)).queue.map(String), [String(nodes[0].publicKey)]);
    await programs.jobs.methods.end().accountsPartial({ job: job.publicKey, market: at.market, run: run.publicKey, deposit: tokens.wallet, user: tokens[nodes[1].publicKey], vault: at.vault, payer: wallet.publicKey, authority: wallet.publicKey, tokenProgram: TOKEN }).rpc();
    const complete = (node) => programs.jobs.methods.complete(hash()).accountsPartial({ job: job.publicKey, authority: node.publicKey }).signers([node]).rpc();
    await fails(complete(nodes[0]), 'Unauthorized');
    await complete(nodes[1]);
    await nextBlock();
    await fails(complete(nodes[1]), 'JobResultsAlreadySet');
    await programs.jobs.methods.stop().accountsPartial({ market: at.market, node: nodes[0].publicKey, authority: nodes[0].publicKey }).signers([nodes[0]]).rpc();
    await nextBlock();
    await fails(programs.jobs.methods.stop().accountsPartial({ market: at.market, node: nodes[0].publicKey, authority: nodes[0].publicKey }).signers([nodes[0]]).rpc(), 'MarketInWrongState');
  });

  it('gives back, claims, recovers', async () => {
    const [one, two] = nodes;
    const { job, call } = listJob(at);
    await call.rpc();
    const { run, call: work } = enterQueue(at, one);
    await work.rpc();
    await programs.jobs.methods.quit().accountsPartial({ job, run, payer: one.publicKey, authority: one.publicKey }).signers([one]).rpc();
    assert.equal((await programs.jobs.account.jobAccount.fetch(job)).state, 3);
    const again = Keypair.generate();
    const claim = { job, run: again.publicKey, market: at.market, stake: stakeOf(two.publicKey), nft: tokens[two.publicKey], metadata: NOBODY, payer: two.publicKey, authority: two.publicKey, systemProgram: SystemProgram.programId };
    await programs.jobs.methods.claim().accountsPartial(claim).signers([again, two]).rpc();
    await finishJob(at, two, job, again.publicKey, { payerRun: two.publicKey }).rpc();
    const { job: second, call: list } = listJob(at);
    await list.rpc();
    const third = enterQueue(at, one);
    await third.call.rpc();
    await programs.jobs.methods.quit().accountsPartial({ job: second, run: third.run, payer: one.publicKey, authority: one.publicKey }).signers([one]).rpc();
    const before = await balance(tokens.wallet);
    await programs.jobs.methods.recover().accountsPartial({ job: second, market: at.market, vault: at.vault, user: tokens.wallet, payer: wallet.publicKey, authority: wallet.publicKey, tokenProgram: TOKEN }).rpc();
    assert.equal((await balance(tokens.wallet)) - before, 600_000);
  });

  it('lets in who holds a token of the collection, and stakes enough', async () => {
    const [one, two] = nodes;
    const collection = Keypair.generate().publicKey;
    const nft = await createMint(connection, wallet.payer, wallet.publicKey, null, 0);
    const { address } = await getOrCreateAssociatedTokenAccount(connection, wallet.payer, nft, one.publicKey);
    await mintTo(connection, wallet.payer, nft, address, wallet.payer, 1);
    const metadata = pda(['metadata', METADATA, nft], METADATA);
    const text = (value) => [Buffer.from([value.length, 0, 0, 0]), Buffer.from(value)];
    const data = Buffer.concat([Buffer.from([4]), wallet.publicKey.toBuffer(), nft.toBuffer(), ...text('Key'), ...text('K'), ...text('u'), Buffer.from([0, 0, 0, 1, 1, 0, 1, 0, 1, 1]), collection.toBuffer(), Buffer.from([0]), Buffer.alloc(300)]);
    await admin('localnet_setAccount', { pubkey: metadata.toBase58(), account: { data: [data.toString('base64'), 'base64'], owner: METADATA.toBase58() } });
    const closed = openMarket({}, collection);
    await closed.call.rpc();
    await fails(enterQueue(closed, one).call.rpc(), 'NodeKeyInvalidCollection');
    await fails(enterQueue(closed, two, { nft: address, metadata }).call.rpc(), 'NodeNftWrongOwner');
    await enterQueue(closed, one, { nft: address, metadata }).call.rpc();
    const dear = openMarket({ minimum: new BN(10).pow(new BN(12)) });
    await dear.call.rpc();
    await fails(enterQueue(dear, one).call.rpc(), 'NodeNotEnoughStake');
    await fails(enterQueue(closed, two, { stake: stakeOf(one.publicKey) }).call.rpc(), 'Unauthorized');
    await fails(enterQueue(closed, stranger).call.rpc(), 'AccountNotInitialized');
  });
});

describe("the client library's other ways", () => {
  let at;
  before(async () => {
    at = openMarket({ price: new BN(0) });
    await at.call.rpc({ skipPreflight: true, commitment: 'confirmed' });
  });

  it('simulates, prepares, and sends many at once', async () => {
    const update = programs.jobs.methods.update(new BN(9), new BN(0), 0, new BN(0), new BN(9)).accountsPartial({ market: at.market, accessKey: NOBODY, authority: wallet.publicKey });
    const { raw } = await update.simulate();
    assert.ok(raw.some((line) => line.includes('Instruction: Update')));
    assert.equal((await queue(at)).jobTimeout.toNumber(), 3_600);
    const { job, call } = listJob(at);
    const { pubkeys, instruction } = await call.prepare();
    assert.ok(pubkeys.job.equals(job) && instruction.keys.length === 12);
    const two = [listJob(at), listJob(at)];
    const batch = await Promise.all(two.map(async ({ call: each, signers }) => ({ tx: await each.transaction(), signers })));
    const signatures = await provider.sendAll(batch);
    assert.equal(signatures.length, 2);
    assert.deepEqual((await programs.jobs.account.jobAccount.fetchMultiple(two.map((one) => one.job))).map((one) => one.state), [0, 0]);
    await connection.confirmTransaction(signatures[0], 'confirmed');
    const transaction = await connection.getTransaction(signatures[0], { commitment: 'confirmed', maxSupportedTransactionVersion: 0 });
    assert.ok(transaction.meta.logMessages.some((line) => line.includes('Instruction: List')));
  });

  it('is told of failures that skipped preflight', async () => {
    const { job } = listJob(at);
    const call = programs.jobs.methods.clean().accountsPartial({ job, market: at.market, payer: wallet.publicKey });
    // What this client makes of it depends on which of two answers it sees first; that it fails does not.
    await assert.rejects(async () => call.rpc({ skipPreflight: true, commitment: 'confirmed' }).catch((error) => { throw new Error('refused', { cause: error }); }), /refused/);
    // Another job: within one blockhash the same message would only be told that it was processed already.
    const other = programs.jobs.methods.clean().accountsPartial({ job: listJob(at).job, market: at.market, payer: wallet.publicKey });
    await assert.rejects(other.simulate(), (error) => JSON.stringify(error.simulationResponse?.err).includes('3012'));
  });

  it('follows an account and the logs', async () => {
    const { job, call } = listJob(at);
    // What was sent before may only now be confirmed, and is told as well.
    const changes = programs.jobs.account.marketAccount.subscribe(at.market, 'confirmed');
    const changed = new Promise((done) => changes.on('change', (seen) => seen.queue.some((one) => one.equals(job)) && done(seen)));
    const logged = new Promise((done) => {
      connection.onLogs(job, (seen) => seen.err ?? done(seen), 'confirmed');
    });
    await new Promise((done) => setTimeout(done, 300));
    await call.rpc();
    assert.equal((await changed).queueType, 0);
    assert.ok((await logged).logs.some((line) => line.includes('Instruction: List')));
    await programs.jobs.account.marketAccount.unsubscribe(at.market);
  });

  it('reads whole kinds of accounts and their sizes', async () => {
    const markets = await programs.jobs.account.marketAccount.all();
    assert.ok(markets.some((one) => one.publicKey.equals(at.market)));
    const jobs = await programs.jobs.account.jobAccount.all([{ memcmp: { offset: 72, bytes: at.market.toBase58() } }]);
    assert.ok(jobs.length >= 2 && jobs.every((one) => one.account.market.equals(at.market)));
    assert.equal(await programs.jobs.account.jobAccount.fetchNullable(Keypair.generate().publicKey), null);
    const { data, context } = await programs.jobs.account.marketAccount.fetchAndContext(at.market);
    assert.ok(data.authority.equals(wallet.publicKey) && context.slot > 0);
  });
});
