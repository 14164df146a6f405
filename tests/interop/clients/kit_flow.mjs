// Everything @nosana/kit offers, done on a chain. Prints a report (lib/report.mjs).
import assert from 'node:assert/strict';
import { writeFileSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as kit from '@nosana/kit';
import { address, createKeyPairSignerFromBytes, createNoopSigner } from '@solana/kit';
import { getAddMemoInstruction } from './lib/memo.mjs';
import { NOS, SOL, town } from './lib/people.mjs';
import { input, refused, Report, until, within } from './lib/report.mjs';

const QUEUED = 0, RUNNING = 1, DONE = 2, STOPPED = 3;
const OF_JOBS = 0, OF_NODES = 1, EMPTY = 255;
const NOBODY = '11111111111111111111111111111111';
const DAY = 86_400n;

const chain = await input();
const report = new Report();
const { rpc, mint, signer, poster, ata, send, endow, person } = await town(chain);
const main = chain.network === 'mainnet';

const services = ['jobs', 'stake', 'solana', 'nos', 'merkleDistributor', 'ipfs', 'authorization'];
const others = ['api', 'config', 'logger', 'wallet'];

function connect(wallet, solana = {}) {
  const client = kit.createNosanaClient(chain.network, {
    wallet,
    logLevel: 'none',
    solana: { rpcEndpoint: chain.rpc, wsEndpoint: chain.ws, priorityFees: undefined, ...solana },
    ipfs: { api: chain.content, gateway: `${chain.content}/ipfs/`, jwt: 'localnet' },
    api: { backend_url: chain.content, client_manager_url: chain.content },
    programs: chain.programs,
  });
  assert.deepEqual(Object.keys(client).sort(), [...services, ...others].sort());
  return Object.fromEntries(services.map((name) => [name, report.watch(client[name], name)]));
}

const [node, other, staker, owner, stranger] = await Promise.all([person(), person(), person(), signer('market-authority'), person()]);
await endow([{ to: node.address, nos: 2n }, { to: other.address, nos: 2n }, { to: staker.address, nos: 100n }, { to: stranger.address, nos: 1n }]);
const P = connect(poster), N = connect(node), M = connect(other), S = connect(staker), O = connect(owner);

let jobs = 0;
async function definition() {
  const one = { type: 'container/run', id: 'one', args: { image: 'x', cmd: [`${performance.timeOrigin} ${(jobs += 1)}`] } };
  return P.ipfs.pin({ version: '0.1', type: 'container', ops: [one] });
}
async function post(market, extra = {}) {
  const cid = await definition();
  const instruction = await P.jobs.list({ market, timeout: 600, ipfsHash: cid, ...extra });
  await P.solana.buildSignAndSend(instruction);
  return { cid, job: instruction.accounts[0].address, run: instruction.accounts[2].address };
}
async function enqueue(who, market, extra = {}) {
  const instruction = await who.jobs.work({ market, ...extra });
  await who.solana.buildSignAndSend(instruction);
  return instruction.accounts[0].address;
}
async function open(terms) {
  const instruction = await O.jobs.open(terms);
  await O.solana.buildSignAndSend(instruction);
  return instruction.accounts[1].address;
}
const micro = async (of) => Number((await P.nos.getTokenAccountForAddress(of))?.amount ?? 0n);
const lamports = (of) => P.solana.getBalance(of);

await report.step('balances and addresses are read', async () => {
  assert.equal(await P.solana.getBalance(), await P.solana.getBalance(poster.address));
  assert.equal(await N.solana.getBalance(), Number(SOL));
  assert.equal(await N.nos.getBalance(), 2);
  assert.equal(await P.nos.getBalance(node.address), 2);
  assert.equal(await P.nos.getBalance((await person()).address), 0);
  const account = await P.nos.getTokenAccountForAddress(node.address);
  assert.deepEqual({ ...account, amount: Number(account.amount) }, {
    pubkey: await ata(node.address), owner: node.address, mint, amount: 2_000_000, decimals: 6, uiAmount: 2,
  });
  assert.equal(await P.nos.getTokenAccountForAddress((await person()).address), null);
  assert.equal(await P.nos.getATA(node.address), await ata(node.address));
  const seeds = ['stake', mint, node.address];
  assert.equal(typeof (await P.solana.pda(seeds, address(chain.programs.stakeAddress))), 'string');
  const holders = await P.nos.getAllTokenHolders();
  assert.ok(holders.some((holder) => holder.owner === node.address && holder.uiAmount === 2));
  assert.ok(holders.every((holder) => holder.amount > 0n));
  const everybody = await P.nos.getAllTokenHolders({ includeZeroBalance: true });
  assert.ok(everybody.length > holders.length);
  const people = await P.nos.getAllTokenHolders({ includeZeroBalance: true, excludePdaAccounts: true });
  assert.ok(people.length < everybody.length && people.every((holder) => holder.owner !== holder.pubkey));
});

await report.step('SOL is sent at every commitment', async () => {
  const to = (await person()).address;
  // The amounts differ: the same transfer under the same blockhash would be the same transaction.
  for (const [commitment, amount] of [['processed', 2_000_000], ['confirmed', 3_000_000], ['finalized', 4_000_000]]) {
    const message = await P.solana.buildTransaction(await P.solana.transfer({ to, amount }));
    const signed = await P.solana.signTransaction(message);
    const signature = await P.solana.sendTransaction(signed, { commitment });
    const { value: [status] } = await rpc.getSignatureStatuses([signature]).send();
    assert.equal(status.err, null);
    if (commitment === 'finalized') assert.equal(status.confirmationStatus, 'finalized');
  }
  assert.equal(await lamports(to), 9_000_000);
  const message = await P.solana.buildTransaction(await P.solana.transfer({ to, amount: 1n, from: poster }));
  await P.solana.sendAndConfirmTransaction(await P.solana.signTransaction(message), { commitment: 'confirmed' });
  assert.equal(await lamports(to), 9_000_001);
});

await report.step('compute units are estimated, fixed and dynamic fees are paid', async () => {
  const to = (await person()).address;
  const transfer = await P.solana.transfer({ to, amount: SOL });
  const signature = await P.solana.buildSignAndSend(transfer, { estimateComputeUnits: true });
  const found = await rpc.getTransaction(signature, { commitment: 'confirmed', maxSupportedTransactionVersion: 0, encoding: 'json' }).send();
  assert.equal(found.transaction.message.instructions.length, 2);
  const plain = await P.solana.buildTransaction([transfer, getAddMemoInstruction('more')]);
  const limited = await P.solana.estimateAndSetComputeUnitLimit(plain);
  assert.equal(limited.instructions.length, 3);
  assert.ok(Number(new DataView(limited.instructions[2].data.buffer).getUint32(1, true)) > 100);
  const before = await lamports(poster.address);
  const F = connect(poster, { priorityFees: { type: 'fixed', microLamports: 1_000_000 } });
  await F.solana.buildSignAndSend(transfer);
  const paid = before - (await lamports(poster.address)) - Number(SOL);
  assert.ok(paid > 5_000, `no fee beyond the signature's was paid: ${paid}`);
  for (const dynamic of [{ strategy: 'high' }, { percentile: 90, accountAddresses: [poster.address] }]) {
    const D = connect(poster, { priorityFees: { type: 'dynamic', min: 2_000, max: 1_000_000, ...dynamic } });
    await D.solana.buildSignAndSend(transfer, { estimateComputeUnits: true });
  }
  assert.equal(await lamports(to), 4 * Number(SOL));
});

await report.step('another pays the fee: signed in parts, sent as text', async () => {
  const to = (await person()).address;
  const before = await lamports(stranger.address);
  const message = await N.solana.buildTransaction(await N.solana.transfer({ to, amount: 2_000_000 }), { feePayer: stranger.address });
  const text = N.solana.serializeTransaction(await N.solana.partiallySignTransaction(message));
  const received = await P.solana.deserializeTransaction(text);
  const opened = P.solana.decompileTransaction(received);
  assert.equal(opened.feePayer.address, stranger.address);
  assert.equal(opened.instructions.length, 1);
  const signed = await P.solana.signTransactionWithSigners(received, [stranger]);
  await P.solana.sendTransaction(signed);
  assert.equal(await lamports(to), 2_000_000);
  assert.equal(before - (await lamports(stranger.address)), 10_000);
  await N.solana.buildSignAndSend(await N.solana.transfer({ to, amount: 1_000 }), { feePayer: stranger });
  const always = connect(node);
  always.solana.feePayer = stranger;
  await always.solana.buildSignAndSend(await always.solana.transfer({ to, amount: 1_000 }));
  assert.equal(before - (await lamports(stranger.address)), 30_000);
});

await report.step('NOS is sent, with and without a new token account', async () => {
  const to = (await person()).address;
  const first = await P.nos.transfer({ to, amount: 1_500_000 });
  assert.equal(first.length, 2);
  await P.solana.buildSignAndSend(first);
  const second = await P.nos.transfer({ to, amount: 500_000n, from: poster });
  assert.equal(second.length, 1);
  await P.solana.buildSignAndSend(second);
  assert.equal(await P.nos.getBalance(to), 2);
  const third = (await person()).address;
  const account = await ata(third);
  const instruction = await P.solana.getCreateATAInstructionIfNeeded(account, mint, third);
  await P.solana.buildSignAndSend(instruction);
  assert.equal(await P.solana.getCreateATAInstructionIfNeeded(account, mint, third), null);
  assert.equal(await P.nos.getBalance(third), 0);
});

await report.step('content is pinned and fetched', async () => {
  const document = { version: '0.1', type: 'container', ops: [], text: 'ü'.repeat(10) };
  const cid = await P.ipfs.pin(document);
  assert.deepEqual(await P.ipfs.retrieve(cid), document);
  const file = join(mkdtempSync(join(tmpdir(), 'gpn-')), 'job.json');
  writeFileSync(file, JSON.stringify(document));
  assert.equal(await P.ipfs.pinFile(file), cid);
});

await report.step('a message is signed and checked', async () => {
  const text = await P.authorization.generate('hello', { includeTime: true });
  const key = Uint8Array.from(chain.keys.poster).slice(32);
  assert.equal(await P.authorization.validate(text, key), true);
  assert.equal(await P.authorization.validate(text, Uint8Array.from(chain.keys['market-authority']).slice(32)), false);
  const headers = await P.authorization.generateHeaders('hello', { key: 'authorization' });
  assert.equal(await P.authorization.validateHeaders(Object.fromEntries(headers), key), true);
});

const staking = address(chain.programs.stakeAddress);
const accounts = {};
await report.step('stakes are made and read', async () => {
  for (const [who, amount] of [[node, 0n], [other, 0n], [staker, 10n * NOS]]) {
    const stake = await P.solana.pda(['stake', mint, who.address], staking);
    const vault = await P.solana.pda(['vault', mint, who.address], staking);
    accounts[who.address] = stake;
    const instruction = kit.StakingClient.getStakeInstruction({
      mint, user: await ata(who.address), vault, stake, authority: who, amount, duration: 14n * DAY,
    });
    await connect(who).solana.buildSignAndSend(instruction);
  }
  const seen = await S.stake.get(accounts[staker.address]);
  assert.deepEqual([seen.authority, seen.amount, seen.duration, seen.timeUnstake], [staker.address, 10_000_000, 14 * 86_400, 0]);
  assert.ok(seen.xnos > 10_000_000);
  const both = await S.stake.multiple([accounts[node.address], accounts[staker.address]]);
  assert.deepEqual(both.map((stake) => stake.amount), [0, 10_000_000]);
  const all = await S.stake.all();
  assert.ok(Object.values(accounts).every((stake) => all.some((one) => one.address === stake)));
  await refused(async () => S.stake.get((await person()).address), /not found/);
  await refused(() => S.stake.get(stranger.address), /Failed to decode account/);
});

let market, free;
await report.step('markets are opened and read', async () => {
  market = await open({ jobPrice: 1_000, jobTimeout: 3_600, jobExpiration: 1, jobType: 0, nodeStakeMinimum: 0 });
  const seen = await P.jobs.market(market);
  assert.deepEqual([seen.jobPrice, seen.jobTimeout, seen.jobExpiration, seen.queueType, seen.queue], [1_000, 3_600, 1, EMPTY, []]);
  assert.deepEqual([seen.authority, seen.nodeAccessKey], [owner.address, NOBODY]);
  const instruction = await O.jobs.createMarket({});
  await O.solana.buildSignAndSend(instruction);
  free = instruction.accounts[1].address;
  const defaults = await P.jobs.market(free);
  assert.deepEqual([defaults.jobPrice, defaults.jobTimeout, defaults.jobExpiration], [0, 7_200, 86_400]);
  const all = (await P.jobs.markets()).map((one) => one.address);
  assert.ok([chain.market, market, free].every((one) => all.includes(one)));
  await refused(async () => P.jobs.market((await person()).address), /not found/i);
});

await report.step('a waiting job is listed, extended and delisted', async () => {
  const before = await micro(poster.address);
  const { cid, job } = await post(market);
  const seen = await P.jobs.get(job);
  assert.deepEqual([seen.ipfsJob, seen.ipfsResult, seen.market, seen.project, seen.payer], [cid, null, market, poster.address, poster.address]);
  assert.deepEqual([seen.price, seen.timeout, seen.state, seen.node, seen.timeStart], [1_000, 600, QUEUED, NOBODY, 0]);
  assert.deepEqual((await P.jobs.market(market)).queue, [job]);
  assert.equal((await P.jobs.market(market)).queueType, OF_JOBS);
  await P.solana.buildSignAndSend(await P.jobs.extend({ job, timeout: 60 }));
  assert.equal((await P.jobs.get(job, false)).timeout, 660);
  assert.equal(before - (await micro(poster.address)), 660_000);
  const foreign = await refused(async () => M.solana.buildSignAndSend(await M.jobs.delist({ job })), /Unauthorized/);
  assert.ok(foreign);
  await P.solana.buildSignAndSend(await P.jobs.delist({ job }));
  assert.equal(await micro(poster.address), before);
  await refused(() => P.jobs.get(job), /not found/i);
});

await report.step('a job is paid by another wallet than its project', async () => {
  const before = await micro(staker.address);
  const { job } = await post(market, { payer: staker });
  const seen = await P.jobs.get(job);
  assert.deepEqual([seen.project, seen.payer], [poster.address, staker.address]);
  assert.equal(before - (await micro(staker.address)), 600_000);
  await P.solana.buildSignAndSend(await P.jobs.delist({ job }));
  assert.equal(await micro(staker.address), before);
});

await report.step('a node queues, leaves, is sent away', async () => {
  await enqueue(N, market);
  const seen = await P.jobs.market(market);
  assert.deepEqual([seen.queueType, seen.queue], [OF_NODES, [node.address]]);
  const twice = await refused(() => enqueue(N, market), /NodeAlreadyQueued/);
  assert.match(twice.message, /Failed to send transaction/);
  await N.solana.buildSignAndSend(await N.jobs.stop({ market }));
  assert.deepEqual((await P.jobs.market(market)).queue, []);
  await enqueue(N, market);
  await refused(async () => M.solana.buildSignAndSend(await M.jobs.stop({ market, node: node.address })), /Unauthorized/);
  await O.solana.buildSignAndSend(await O.jobs.stop({ market, node: node.address }));
  assert.equal((await P.jobs.market(market)).queueType, EMPTY);
});

let finished;
await report.step('a waiting node gets the job, is extended, and paid for its result', async () => {
  const [had, earned] = [await micro(poster.address), await micro(node.address)];
  await enqueue(N, market);
  const { job, run } = await post(market);
  const seen = await P.jobs.get(job);
  assert.deepEqual([seen.state, seen.node], [RUNNING, node.address]);
  assert.equal((await P.jobs.get(job, false)).state, QUEUED);
  const one = await P.jobs.run(run);
  assert.deepEqual([one.job, one.node, one.payer, one.state], [job, node.address, poster.address, 0]);
  assert.equal(seen.timeStart, one.time);
  assert.deepEqual((await P.jobs.runs({ job })).map((each) => each.address), [run]);
  assert.deepEqual((await P.jobs.runs({ node: node.address })).map((each) => each.address), [run]);
  assert.ok((await P.jobs.runs()).some((each) => each.address === run));
  assert.deepEqual((await P.jobs.multiple([job], true)).map((each) => each.state), [RUNNING]);
  assert.deepEqual((await P.jobs.multiple([job])).map((each) => each.state), [QUEUED]);
  assert.ok((await P.jobs.all({ market }, true)).some((each) => each.address === job && each.state === RUNNING));
  await P.solana.buildSignAndSend(await P.jobs.extend({ job, timeout: 30 }));
  const result = await N.ipfs.pin({ status: 'success', job });
  await refused(async () => M.solana.buildSignAndSend(await M.jobs.finish({ job, ipfsResultsHash: result })), /Unauthorized/);
  await N.solana.buildSignAndSend(await N.jobs.finish({ job, ipfsResultsHash: result }));
  const done = await P.jobs.get(job);
  assert.deepEqual([done.state, done.ipfsResult, done.node, done.timeout], [DONE, result, node.address, 630]);
  const pay = 1_000 * Math.min(done.timeEnd - done.timeStart, 630);
  assert.equal((await micro(node.address)) - earned, pay);
  assert.equal(had - (await micro(poster.address)), pay);
  await refused(() => P.jobs.run(run), /not found/i);
  finished = job;
});

await report.step('jobs are found by state, project, node and market', async () => {
  const addresses = async (filters) => (await P.jobs.all(filters)).map((one) => one.address);
  for (const filters of [undefined, { state: DONE }, { project: poster.address }, { node: node.address }, { market }, { state: DONE, node: node.address, market }]) {
    assert.ok((await addresses(filters)).includes(finished), JSON.stringify(filters));
  }
  // With the filter for the account's kind that would be five; nodes take four.
  await refused(() => addresses({ state: DONE, node: node.address, market, project: poster.address }), /Too many filters provided; max 4/);
  for (const filters of [{ state: STOPPED }, { project: node.address }, { node: other.address }, { market: free }]) {
    assert.ok(!(await addresses(filters)).includes(finished), JSON.stringify(filters));
  }
});

await report.step('a chosen node is assigned a job', async () => {
  await enqueue(N, market);
  await enqueue(M, market);
  const cid = await definition();
  const chosen = await P.jobs.assign({ market, timeout: 600, ipfsHash: cid, node: other.address });
  await P.solana.buildSignAndSend(chosen);
  const job = chosen.accounts[0].address;
  assert.equal((await P.jobs.get(job)).node, other.address);
  assert.deepEqual((await P.jobs.market(market)).queue, [node.address]);
  await refused(async () => P.solana.buildSignAndSend(await P.jobs.assign({ market, timeout: 600, ipfsHash: cid, node: other.address })), /NotInMarketQueue/);
  const again = await P.jobs.post({ market, timeout: 600, ipfsHash: cid, node: node.address });
  await P.solana.buildSignAndSend(again);
  for (const [who, one] of [[M, job], [N, again.accounts[0].address]]) {
    await who.solana.buildSignAndSend(await who.jobs.finish({ job: one, ipfsResultsHash: cid }));
  }
});

await report.step('a node that has no token account yet is paid', async () => {
  const fresh = await person();
  await endow([{ to: fresh.address, nos: 1n }]);
  const F = connect(fresh);
  const stake = await F.solana.pda(['stake', mint, fresh.address], staking);
  const vault = await F.solana.pda(['vault', mint, fresh.address], staking);
  await F.solana.buildSignAndSend(
    kit.StakingClient.getStakeInstruction({ mint, user: await ata(fresh.address), vault, stake, authority: fresh, amount: 1n * NOS, duration: 14n * DAY }),
  );
  await enqueue(F, market);
  // Its token account is gone when the job is done: the client makes it anew in the same transaction.
  const { getCloseAccountInstruction } = await import('@solana-program/token');
  await F.solana.buildSignAndSend(getCloseAccountInstruction({ account: await ata(fresh.address), destination: fresh.address, owner: fresh }));
  const { job, cid } = await post(market);
  const instructions = await F.jobs.finish({ job, ipfsResultsHash: cid });
  assert.equal(instructions.length, 2);
  await F.solana.buildSignAndSend(instructions);
  assert.equal((await P.jobs.get(job)).state, DONE);
});

await report.step('a job without a price moves no NOS', async () => {
  const before = [await micro(poster.address), await micro(node.address)];
  await enqueue(N, free);
  const { job, cid } = await post(free);
  await N.solana.buildSignAndSend(await N.jobs.finish({ job, ipfsResultsHash: cid }));
  assert.equal((await P.jobs.get(job)).state, DONE);
  assert.deepEqual([await micro(poster.address), await micro(node.address)], before);
});

let ended;
await report.step('a running job is ended by its poster', async () => {
  const { job } = await post(market);
  await enqueue(N, market);
  await P.solana.buildSignAndSend(await P.jobs.end({ job }));
  const seen = await P.jobs.get(job);
  assert.deepEqual([seen.state, seen.ipfsResult, seen.node], [DONE, null, node.address]);
  assert.deepEqual(await P.jobs.runs({ job }), []);
  ended = job;
});

// Whatever its configuration, this client sends `complete` to the main network's program.
const completes = main ? 'the result of an ended job is handed in' : 'handing in the result of an ended job goes to the main network\'s program, which is not here';
await report.step(completes, async () => {
  const result = await N.ipfs.pin({ status: 'stopped', job: ended });
  const complete = async () => N.solana.buildSignAndSend(await N.jobs.complete({ job: ended, ipfsResultsHash: result }));
  if (!main) return void (await refused(complete, /program that does not exist|ProgramAccountNotFound|unsupported program id|Transaction simulation failed/i));
  await complete();
  assert.equal((await P.jobs.get(ended)).ipfsResult, result);
  await refused(complete, /already been completed/);
});

await report.step('a node gives a job back', async () => {
  const { job } = await post(market);
  const run = await enqueue(N, market);
  assert.equal((await P.jobs.get(job)).state, RUNNING);
  await N.solana.buildSignAndSend(await N.jobs.quit({ run }));
  const seen = await P.jobs.get(job);
  assert.deepEqual([seen.state, seen.node], [STOPPED, NOBODY]);
  await refused(() => N.jobs.quit({ run }), /not found/i);
});

await report.step('both monitors see a job from post to result', async () => {
  for (const kind of ['monitor', 'monitorDetailed']) {
    const [events, stop] = await P.jobs[kind]();
    const seen = [];
    const watching = (async () => {
      for await (const { type, data } of events) seen.push({ type, address: data.address, state: data.state, node: data.node });
    })();
    const told = (fits) => until(async () => seen, (all) => all.some(fits), 20);
    // Its socket is there when it sees something; only then is the job posted that it must not miss.
    const beacon = (async () => {
      while (seen.length === 0) {
        const { job } = await post(free);
        await P.solana.buildSignAndSend(await P.jobs.delist({ job }));
      }
    })();
    await told(() => true);
    await beacon;
    await enqueue(N, market);
    const { job, run, cid } = await post(market);
    await N.solana.buildSignAndSend(await N.jobs.finish({ job, ipfsResultsHash: cid }));
    await told((one) => one.type === 'market' && one.address === market);
    await told((one) => one.type === 'job' && one.address === job && one.state === DONE);
    if (kind === 'monitor') await told((one) => one.type === 'job' && one.address === job && one.state === RUNNING && one.node === node.address);
    else await told((one) => one.type === 'run' && one.address === run);
    stop();
    await within(10, watching);
  }
});

await report.step('an access key lets its holders in and nobody else', async () => {
  const { key, mint: nft, collection } = chain.staged.holder;
  const holder = await createKeyPairSignerFromBytes(Uint8Array.from(key));
  await endow([{ to: holder.address, nos: 1n }]);
  const H = connect(holder);
  const stake = await H.solana.pda(['stake', mint, holder.address], staking);
  const vault = await H.solana.pda(['vault', mint, holder.address], staking);
  await H.solana.buildSignAndSend(
    kit.StakingClient.getStakeInstruction({ mint, user: await ata(holder.address), vault, stake, authority: holder, amount: 0n, duration: 14n * DAY }),
  );
  const closed = await open({ nodeAccessKey: address(collection), jobPrice: 5 });
  await refused(() => enqueue(N, closed), /NodeKeyInvalidCollection/);
  await refused(() => enqueue(H, closed), /NodeKeyInvalidCollection/);
  await enqueue(H, closed, { nft: address(nft) });
  assert.deepEqual((await P.jobs.market(closed)).queue, [holder.address]);
  const staked = await open({ nodeStakeMinimum: 1_000_000 });
  await refused(() => enqueue(N, staked), /NodeNotEnoughStake/);
  await enqueue(S, staked);
});

await report.step('an old job is cleaned up, markets are closed', async () => {
  const seen = await P.jobs.get(finished);
  const rent = await lamports(poster.address);
  const clean = kit.JobsClient.getCleanInstruction({ job: finished, market, payer: poster.address }, { programAddress: address(chain.programs.jobsAddress) });
  const now = async () => Number(await rpc.getBlockTime(await rpc.getSlot().send()).send());
  await until(now, (at) => at > seen.timeEnd + 3, 20);
  await N.solana.buildSignAndSend(clean);
  await refused(() => P.jobs.get(finished), /not found/i);
  assert.ok((await lamports(poster.address)) > rent);
  await refused(async () => N.solana.buildSignAndSend(await N.jobs.close({ market: free })), /Unauthorized/);
  await O.solana.buildSignAndSend(await O.jobs.close({ market: free }));
  await refused(() => P.jobs.market(free), /not found/i);
  await O.solana.buildSignAndSend(await O.jobs.closeMarket({ market }));
  await refused(() => P.jobs.market(market), /not found/i);
});

await report.step('a distributor of tokens is read; its program is not here', async () => {
  const { distributor, claimant, status } = chain.staged.distributor;
  const seen = await P.merkleDistributor.get(address(distributor));
  assert.deepEqual([seen.mint, seen.maxTotalClaim, seen.clawedBack], [mint, 1_000_000, false]);
  assert.deepEqual((await P.merkleDistributor.all()).map((one) => one.address), [distributor]);
  assert.equal(await P.merkleDistributor.getClaimStatusPda(address(distributor), address(claimant)), status);
  const claimed = await P.merkleDistributor.getClaimStatus(address(status));
  assert.deepEqual([claimed.claimant, claimed.distributor, claimed.unlockedAmount], [claimant, distributor, 500_000]);
  assert.deepEqual(await P.merkleDistributor.getClaimStatusForDistributor(address(distributor), address(claimant)), claimed);
  assert.equal(await P.merkleDistributor.getClaimStatusForDistributor(address(distributor)), null);
  assert.deepEqual((await P.merkleDistributor.allClaimStatus()).map((one) => one.address), [status]);
  await refused(() => P.merkleDistributor.claim({ distributor: address(distributor), claimant: createNoopSigner(address(claimant)), amountUnlocked: 1, amountLocked: 0, proof: [], target: 'YES' }), /already been claimed/);
  const claim = await P.merkleDistributor.claim({ distributor: address(distributor), amountUnlocked: 1, amountLocked: 0, proof: [], target: 'YES' });
  await refused(() => P.solana.buildSignAndSend(claim), /simulation failed/i);
  const clawback = await P.merkleDistributor.clawback({ distributor: address(distributor) });
  await refused(() => P.solana.buildSignAndSend(clawback), /simulation failed/i);
});

report.print();
