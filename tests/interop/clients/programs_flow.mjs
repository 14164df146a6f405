// Every instruction, account and error that the generated packages @nosana/jobs-program and @nosana/stake-program know, used on a
// chain: the admins' ones too, which no client offers. Prints a report (lib/report.mjs).
import assert from 'node:assert/strict';
import * as jobsProgram from '@nosana/jobs-program';
import * as stakeProgram from '@nosana/stake-program';
import { address, createKeyPairSignerFromBytes, getAddressEncoder, getProgramDerivedAddress } from '@solana/kit';
import { NOS, town } from './lib/people.mjs';
import { input, logs, refused, Report, until } from './lib/report.mjs';

const DAY = 86_400n;
const chain = await input();
const report = new Report();
const { rpc, mint, signer, poster, ata, send, endow, person } = await town(chain);

// What is used on a chain, or on what came from one. The rest are codecs, sizes and constants that these are made of.
const USED = /^(get\w+Instruction|fetch\w+|parse\w+Instruction|decode\w+|identify\w+|is\w+Error|get\w+ErrorMessage)$/;
const used = (module) => Object.fromEntries(Object.entries(module).filter(([name, value]) => typeof value === 'function' && USED.test(name)));
const jobs = report.watch(used(jobsProgram), 'jobs-program');
const stakes = report.watch(used(stakeProgram), 'stake-program');

const programs = Object.fromEntries(Object.entries(chain.programs).map(([name, one]) => [name, address(one)]));
const at = { programAddress: programs.jobsAddress };
const pda = async (seeds, programAddress) => {
  const encode = (seed) => (seed.length >= 32 ? getAddressEncoder().encode(seed) : seed);
  return (await getProgramDerivedAddress({ programAddress, seeds: seeds.map(encode) }))[0];
};
const [admin, authority, owner, node, other] = await Promise.all([signer('market-admin'), signer('network-authority'), signer('market-authority'), person(), person()]);
await endow([{ to: admin.address, nos: 1n }, { to: authority.address, nos: 1n }, { to: node.address, nos: 100n }, { to: other.address, nos: 100n }]);

const rewards = {
  rewardsReflection: await pda(['reflection'], programs.rewardsAddress),
  rewardsVault: await pda([mint], programs.rewardsAddress),
  rewardsProgram: programs.rewardsAddress,
};
const hash = () => crypto.getRandomValues(new Uint8Array(32));
const micro = async (account) => BigInt((await rpc.getTokenAccountBalance(account).send()).value.amount);
const funds = async (who) => micro(await ata(who.address));

// Send one instruction, and read it back with the package's own parser: the bytes and accounts must be what went in.
async function apply(payer, name, made, args = {}) {
  const parse = `parse${name[0].toUpperCase()}${name.slice(1)}Instruction`;
  const module = made.programAddress === programs.jobsAddress ? jobs : stakes;
  const parsed = module[parse](made);
  for (const [key, value] of Object.entries(args)) assert.deepEqual(parsed.data[key], value, `${name}.${key}`);
  for (const meta of made.accounts) assert.ok(Object.values(parsed.accounts).some((one) => one?.address === meta.address), name);
  await send(payer, [made]);
  return made;
}
const missing = async (fetching) => refused(fetching, /not found/i);

let market, vault;
async function open(terms = {}) {
  const key = await person();
  vault = await pda([key.address, mint], programs.jobsAddress);
  const made = jobs.getOpenInstruction({
    mint, market: key, vault, authority: owner, accessKey: address('11111111111111111111111111111111'),
    jobExpiration: 0, jobPrice: 1_000, jobTimeout: 3_600, jobType: 0, nodeXnosMinimum: 0, ...terms,
  }, at);
  await apply(owner, 'open', made, { jobPrice: 1_000n, jobTimeout: 3_600n });
  market = key.address;
}

async function list(payer = poster) {
  const [job, run] = [await person(), await person()];
  const user = await ata(payer.address);
  const made = jobs.getListInstruction({ job, run, market, vault, user, payer, authority: payer, ipfsJob: hash(), timeout: 100, ...rewards }, at);
  await apply(payer, 'list', made, { timeout: 100n });
  return { job: job.address, run: run.address };
}

const stakeOf = (who) => pda(['stake', mint, who.address], programs.stakeAddress);
const vaultOf = (who) => pda(['vault', mint, who.address], programs.stakeAddress);
async function work(who) {
  const run = await person();
  const metadata = address('11111111111111111111111111111111');
  const made = jobs.getWorkInstruction({ run, market, payer: who, stake: await stakeOf(who), nft: await ata(who.address), metadata, authority: who }, at);
  await apply(who, 'work', made);
  return run.address;
}
async function finish(who, job, run) {
  const user = await ata(who.address);
  const deposit = await ata(poster.address);
  const { data } = await jobsProgram.fetchRunAccount(rpc, run);
  const made = jobs.getFinishInstruction({ job, run, market, vault, deposit, user, payerJob: poster.address, payerRun: data.payer, authority: who, ipfsResult: hash() }, at);
  await apply(who, 'finish', made);
}

await report.step('stake, topup, extend', async () => {
  for (const who of [node, other]) {
    const [stake, held] = [await stakeOf(who), await vaultOf(who)];
    const made = stakes.getStakeInstruction({ mint, user: await ata(who.address), vault: held, stake, authority: who, amount: 10n * NOS, duration: 14n * DAY });
    await apply(who, 'stake', made, { amount: 10n * NOS, duration: 14n * DAY });
  }
  const [stake, held] = [await stakeOf(node), await vaultOf(node)];
  await apply(node, 'topup', stakes.getTopupInstruction({ user: await ata(node.address), vault: held, stake, authority: node, amount: 5n * NOS }), { amount: 5n * NOS });
  await apply(node, 'extend', stakes.getExtendInstruction({ stake, authority: node, duration: 3n * DAY }), { duration: 3n * DAY });
  const { data } = await stakes.fetchStakeAccount(rpc, stake);
  assert.deepEqual([data.amount, data.duration, data.timeUnstake, data.authority, data.vault], [15n * NOS, 17n * DAY, 0n, node.address, held]);
  assert.ok(data.xnos > 15n * NOS);
  assert.equal(await micro(held), 15n * NOS);
  const all = await stakes.fetchAllStakeAccount(rpc, [stake, await stakeOf(other)]);
  assert.deepEqual(all.map((one) => one.data.amount), [15n * NOS, 10n * NOS]);
  assert.equal((await stakes.fetchMaybeStakeAccount(rpc, (await person()).address)).exists, false);
  assert.deepEqual((await stakes.fetchAllMaybeStakeAccount(rpc, [stake, (await person()).address])).map((one) => one.exists), [true, false]);
});

await report.step('settings are updated, a stake is slashed', async () => {
  const settings = await pda(['settings'], programs.stakeAddress);
  const { data } = await stakes.fetchSettingsAccount(rpc, settings);
  assert.equal(data.authority, authority.address);
  const tokenAccount = await ata(authority.address);
  const update = stakes.getUpdateSettingsInstruction({ newAuthority: authority.address, tokenAccount, settings, authority });
  await refused(() => send(node, [stakes.getUpdateSettingsInstruction({ newAuthority: node.address, tokenAccount, settings, authority: node })]), /Unauthorized/);
  await apply(authority, 'updateSettings', update);
  assert.equal((await stakes.fetchMaybeSettingsAccount(rpc, settings)).data.tokenAccount, tokenAccount);
  assert.equal((await stakes.fetchAllSettingsAccount(rpc, [settings])).length, 1);
  assert.equal((await stakes.fetchAllMaybeSettingsAccount(rpc, [settings]))[0].exists, true);
  const before = await micro(tokenAccount);
  const slash = stakes.getSlashInstruction({ vault: await vaultOf(other), stake: await stakeOf(other), tokenAccount, settings, authority, amount: 4n * NOS });
  await apply(authority, 'slash', slash, { amount: 4n * NOS });
  assert.equal((await micro(tokenAccount)) - before, 4n * NOS);
  assert.equal((await stakes.fetchStakeAccount(rpc, await stakeOf(other))).data.amount, 6n * NOS);
  await refused(() => send(poster, [stakes.getInitInstruction({ settings, authority: poster })]), /already in use/);
  assert.equal(stakes.parseInitInstruction(stakes.getInitInstruction({ settings, authority: poster })).accounts.settings.address, settings);
});

await report.step('unstake, withdraw, restake', async () => {
  const [stake, held, user] = [await stakeOf(other), await vaultOf(other), await ata(other.address)];
  const reward = await pda(['reward', other.address], programs.rewardsAddress);
  await refused(() => send(other, [stakes.getWithdrawInstruction({ user, vault: held, stake, authority: other })]), /NotUnstaked/);
  await apply(other, 'unstake', stakes.getUnstakeInstruction({ stake, reward, authority: other }));
  const given = (await stakes.fetchStakeAccount(rpc, stake)).data;
  assert.ok(given.timeUnstake > 0n && given.xnos === 0n);
  const now = async () => Number(await rpc.getBlockTime(await rpc.getSlot().send()).send());
  await until(now, (time) => time > Number(given.timeUnstake) + 2);
  const before = await micro(held);
  await apply(other, 'withdraw', stakes.getWithdrawInstruction({ user, vault: held, stake, authority: other }));
  const left = await micro(held);
  assert.ok(left < before);
  await refused(() => send(other, [stakes.getCloseInstruction({ user, stake, vault: held, authority: other })]), /Locked/);
  await apply(other, 'restake', stakes.getRestakeInstruction({ vault: held, stake, authority: other }));
  assert.deepEqual([(await stakes.fetchStakeAccount(rpc, stake)).data.amount], [left]);
  await refused(() => send(other, [stakes.getRestakeInstruction({ vault: held, stake, authority: other })]), /AlreadyStaked/);
});

await report.step('a stake is closed when its time has come', async () => {
  const old = await createKeyPairSignerFromBytes(Uint8Array.from(chain.staged.unstaked.key));
  await endow([{ to: old.address, nos: 1n }]);
  const [stake, held, user] = [await stakeOf(old), await vaultOf(old), await ata(old.address)];
  await refused(() => send(old, [stakes.getCloseInstruction({ user, stake, vault: held, authority: old })]), /VaultNotEmpty/);
  await apply(old, 'withdraw', stakes.getWithdrawInstruction({ user, vault: held, stake, authority: old }));
  assert.equal(await funds(old), 1n * NOS + BigInt(chain.staged.unstaked.amount));
  await apply(old, 'close', stakes.getCloseInstruction({ user, stake, vault: held, authority: old }));
  assert.equal((await stakes.fetchMaybeStakeAccount(rpc, stake)).exists, false);
});

await report.step('open, update, close, close as admin', async () => {
  await open();
  const terms = { jobExpiration: 1, jobPrice: 2_000, jobType: 1, nodeStakeMinimum: 7, jobTimeout: 60 };
  const accessKey = address('11111111111111111111111111111111');
  await apply(owner, 'update', jobs.getUpdateInstruction({ market, accessKey, authority: owner, ...terms }, at), { jobPrice: 2_000n, jobTimeout: 60n });
  const { data } = await jobs.fetchMarketAccount(rpc, market);
  assert.deepEqual([data.jobExpiration, data.jobPrice, data.jobTimeout, data.jobType, data.nodeXnosMinimum, data.queueType], [1n, 2_000n, 60n, 1, 7n, 255]);
  assert.equal((await jobs.fetchAllMarketAccount(rpc, [market])).length, 1);
  assert.deepEqual((await jobs.fetchAllMaybeMarketAccount(rpc, [market, (await person()).address])).map((one) => one.exists), [true, false]);
  const user = await ata(owner.address);
  await apply(owner, 'close', jobs.getCloseInstruction({ market, vault, user, authority: owner }, at));
  assert.equal((await jobs.fetchMaybeMarketAccount(rpc, market)).exists, false);
  await open();
  await refused(() => send(owner, [jobs.getCloseAdminInstruction({ market, vault, user, authority: owner }, at)]), /Unauthorized/);
  await apply(admin, 'closeAdmin', jobs.getCloseAdminInstruction({ market, vault, user: await ata(admin.address), authority: admin }, at));
  await missing(() => jobs.fetchMarketAccount(rpc, market));
});

await report.step('list, extend, delist', async () => {
  await open();
  const before = await funds(poster);
  const { job } = await list();
  const user = await ata(poster.address);
  await apply(poster, 'extend', jobs.getExtendInstruction({ job, market, user, vault, authority: poster, payer: poster, timeout: 150, ...rewards }, at), { timeout: 150n });
  assert.equal((await jobs.fetchJobAccount(rpc, job)).data.timeout, 150n);
  assert.equal(before - (await funds(poster)), 150_000n);
  assert.equal(await micro(vault), 150_000n);
  await apply(poster, 'delist', jobs.getDelistInstruction({ job, market, deposit: user, payer: poster.address, vault, authority: poster }, at));
  assert.equal(await funds(poster), before);
  assert.equal((await jobs.fetchMaybeJobAccount(rpc, job)).exists, false);
});

await report.step('work, assign, finish, stop', async () => {
  await work(node);
  await work(other);
  const [job, run] = [await person(), await person()];
  const user = await ata(poster.address);
  const made = jobs.getAssignInstruction({ job, run, node: other.address, market, vault, user, payer: poster, authority: poster, ipfsJob: hash(), timeout: 100, ...rewards }, at);
  await apply(poster, 'assign', made, { timeout: 100n });
  const { data } = await jobs.fetchRunAccount(rpc, run.address);
  assert.deepEqual([data.job, data.node, data.payer, data.state], [job.address, other.address, poster.address, 0]);
  assert.deepEqual((await jobs.fetchAllRunAccount(rpc, [run.address])).map((one) => one.data.node), [other.address]);
  assert.deepEqual((await jobs.fetchAllMaybeRunAccount(rpc, [run.address, (await person()).address])).map((one) => one.exists), [true, false]);
  await finish(other, job.address, run.address);
  assert.equal((await jobs.fetchMaybeRunAccount(rpc, run.address)).exists, false);
  const done = (await jobs.fetchAllJobAccount(rpc, [job.address]))[0].data;
  assert.deepEqual([done.state, done.node, done.market, done.price], [2, other.address, market, 1_000n]);
  assert.equal((await jobs.fetchAllMaybeJobAccount(rpc, [job.address]))[0].exists, true);
  await apply(node, 'stop', jobs.getStopInstruction({ market, node: node.address, authority: node }, at));
  assert.equal((await jobs.fetchMarketAccount(rpc, market)).data.queueType, 255);
});

await report.step('end, complete, clean', async () => {
  await work(node);
  const { job, run } = await list();
  const [deposit, user] = [await ata(poster.address), await ata(node.address)];
  const before = await funds(poster);
  await apply(poster, 'end', jobs.getEndInstruction({ job, market, run, deposit, user, vault, payer: poster.address, authority: poster }, at));
  const ended = (await jobs.fetchJobAccount(rpc, job)).data;
  const pay = 1_000n * (ended.timeEnd - ended.timeStart);
  assert.equal((await funds(poster)) - before, 100_000n - pay);
  const ipfsResult = hash();
  await apply(node, 'complete', jobs.getCompleteInstruction({ job, authority: node, ipfsResult }, at));
  assert.deepEqual(new Uint8Array((await jobs.fetchJobAccount(rpc, job)).data.ipfsResult), ipfsResult);
  await refused(() => send(node, [jobs.getCompleteInstruction({ job, authority: node, ipfsResult: hash() }, at)]), /JobResultsAlreadySet/);
  const now = async () => Number(await rpc.getBlockTime(await rpc.getSlot().send()).send());
  await until(now, (time) => time > Number(ended.timeEnd) + 1);
  await apply(other, 'clean', jobs.getCleanInstruction({ job, market, payer: poster.address }, at));
  assert.equal((await jobs.fetchMaybeJobAccount(rpc, job)).exists, false);
});

await report.step('quit, claim, quit as admin, recover', async () => {
  const { job } = await list();
  const run = await work(node);
  await apply(node, 'quit', jobs.getQuitInstruction({ job, run, payer: node.address, authority: node }, at));
  assert.equal((await jobs.fetchJobAccount(rpc, job)).data.state, 3);
  const again = await person();
  const metadata = address('11111111111111111111111111111111');
  const claim = { job, run: again, market, stake: await stakeOf(other), nft: await ata(other.address), metadata, payer: other, authority: other };
  await apply(other, 'claim', jobs.getClaimInstruction(claim, at));
  assert.equal((await jobs.fetchRunAccount(rpc, again.address)).data.node, other.address);
  await refused(() => send(node, [jobs.getQuitAdminInstruction({ run: again.address, payer: other.address, authority: node }, at)]), /Unauthorized/);
  await apply(admin, 'quitAdmin', jobs.getQuitAdminInstruction({ run: again.address, payer: other.address, authority: admin }, at));
  assert.equal((await jobs.fetchMaybeRunAccount(rpc, again.address)).exists, false);
  const before = await funds(poster);
  const user = await ata(poster.address);
  await apply(poster, 'recover', jobs.getRecoverInstruction({ job, market, vault, user, payer: poster.address, authority: poster }, at));
  assert.equal((await funds(poster)) - before, 100_000n);
  assert.equal((await jobs.fetchMaybeJobAccount(rpc, job)).exists, false);
});

await report.step('clean as admin', async () => {
  await work(node);
  const { job, run } = await list();
  await finish(node, job, run);
  const made = jobs.getCleanAdminInstruction({ job, payer: poster.address, authority: admin }, at);
  await apply(admin, 'cleanAdmin', made);
  assert.equal((await jobs.fetchMaybeJobAccount(rpc, job)).exists, false);
});

await report.step('accounts and instructions are told apart, errors are named', async () => {
  await work(node);
  const { job, run } = await list();
  const raw = async (of) => {
    const { value } = await rpc.getAccountInfo(of, { encoding: 'base64' }).send();
    return { address: of, data: Buffer.from(value.data[0], 'base64'), exists: true, executable: value.executable, lamports: value.lamports, programAddress: value.owner, space: value.space };
  };
  const kinds = jobsProgram.NosanaJobsAccount;
  assert.equal(jobs.identifyNosanaJobsAccount(await raw(market)), kinds.MarketAccount);
  assert.equal(jobs.identifyNosanaJobsAccount(await raw(job)), kinds.JobAccount);
  assert.equal(jobs.identifyNosanaJobsAccount(await raw(run)), kinds.RunAccount);
  assert.equal(jobs.decodeMarketAccount(await raw(market)).data.jobPrice, 1_000n);
  assert.equal(jobs.decodeJobAccount(await raw(job)).data.market, market);
  assert.equal(jobs.decodeRunAccount(await raw(run)).data.job, job);
  assert.equal(stakes.identifyNosanaStakingAccount(await raw(await stakeOf(node))), stakeProgram.NosanaStakingAccount.StakeAccount);
  assert.equal(stakes.decodeStakeAccount(await raw(await stakeOf(node))).data.authority, node.address);
  assert.equal(stakes.decodeSettingsAccount(await raw(await pda(['settings'], programs.stakeAddress))).data.authority, authority.address);
  const twice = jobs.getStopInstruction({ market, node: node.address, authority: node }, at);
  assert.equal(jobs.identifyNosanaJobsInstruction(twice), jobsProgram.NosanaJobsInstruction.Stop);
  assert.equal(stakes.identifyNosanaStakingInstruction(stakes.getExtendInstruction({ stake: await stakeOf(node), authority: node, duration: 1n })), stakeProgram.NosanaStakingInstruction.Extend);
  const error = await refused(() => send(node, [twice]), /MarketInWrongState/);
  const message = { instructions: { 0: { programAddress: programs.jobsAddress } } };
  assert.ok(jobs.isNosanaJobsError(error.cause, message, jobsProgram.NOSANA_JOBS_ERROR__MARKET_IN_WRONG_STATE) || programs.jobsAddress !== jobsProgram.NOSANA_JOBS_PROGRAM_ADDRESS);
  assert.match(jobs.getNosanaJobsErrorMessage(jobsProgram.NOSANA_JOBS_ERROR__MARKET_IN_WRONG_STATE), /./);
  const short = stakes.getExtendInstruction({ stake: await stakeOf(node), authority: node, duration: 0n });
  const locked = await refused(() => send(node, [short]), /DurationTooShort/);
  const staking = { instructions: { 0: { programAddress: programs.stakeAddress } } };
  assert.ok(stakes.isNosanaStakingError(locked.cause, staking, stakeProgram.NOSANA_STAKING_ERROR__DURATION_TOO_SHORT));
  assert.match(stakes.getNosanaStakingErrorMessage(stakeProgram.NOSANA_STAKING_ERROR__DURATION_TOO_SHORT), /./);
  assert.ok(logs(error).some((line) => line.includes('AnchorError')));
  await finish(node, job, run);
});

report.print();
