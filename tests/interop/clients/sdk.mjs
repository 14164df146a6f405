// Runs the network's older client @nosana/sdk by commands, as kit.mjs does for the current one. It reads the programs'
// interfaces from the chain, sends legacy transactions, and looks for the socket on the port after the RPC port.
import { createInterface } from 'node:readline';

for (const name of ['log', 'info', 'debug', 'warn']) console[name] = (...all) => console.error(...all);
delete process.env.ANCHOR_PROVIDER_URL;
const { Client } = await import('@nosana/sdk');

let client;

const methods = {
  async connect({ network, rpc, content, secret, programs, market }) {
    client = new Client(network, JSON.stringify(secret), {
      solana: {
        network: rpc,
        jobs_address: programs.jobsAddress,
        nos_address: programs.nosTokenAddress,
        rewards_address: programs.rewardsAddress,
        nodes_address: programs.nodesAddress,
        stake_address: programs.stakeAddress,
        pools_address: programs.poolsAddress,
        market_address: market,
        dynamicPriorityFee: false,
      },
      ipfs: { api: content, gateway: `${content}/ipfs/`, jwt: 'localnet' },
    });
    return client.solana.wallet.publicKey.toString();
  },
  pin: ({ document }) => client.ipfs.pin(document),
  retrieve: ({ cid }) => client.ipfs.retrieve(cid),
  balance: async ({ of }) => ({
    lamports: await client.solana.getSolBalance(of),
    nos: (await client.solana.getNosBalance(of))?.uiAmount ?? 0,
  }),
  post: ({ market, timeout, cid }) => client.jobs.list(cid, timeout, market),
  extend: ({ job, seconds }) => client.jobs.extend(job, seconds),
  delist: ({ job }) => client.jobs.delist(job),
  end: ({ job }) => client.jobs.end(job),
  job: ({ address }) => client.jobs.get(address),
  jobs: ({ filters }) => client.jobs.all(filters),
  market: ({ address }) => client.jobs.getMarket(address),
  run: ({ address }) => client.jobs.getRun(address),
  runs: ({ job }) => client.jobs.getRuns(job),
  work: ({ market }) => client.jobs.work(market),
  finish: ({ run, market, cid }) => client.jobs.submitResult(client.ipfs.IpfsHashToByteArray(cid), run, market),
  stake: ({ of }) => client.stake.get(of),
  node: ({ of }) => client.nodes.get(of),
};

// Keys and big numbers print as text and numbers; the client mixes both kinds.
function plain(_key, value) {
  if (value && typeof value === 'object') {
    if (typeof value.toBase58 === 'function') return value.toBase58();
    if (value.constructor?.name === 'BN') return Number(value.toString());
  }
  return typeof value === 'bigint' ? Number(value) : value;
}

// JSON.stringify asks toJSON before the function above sees a value: keys and numbers must be found one level up.
function flat(value) {
  if (Array.isArray(value)) return value.map(flat);
  if (value && typeof value === 'object') {
    const told = plain('', value);
    if (told !== value) return told;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, flat(inner)]));
  }
  return plain('', value);
}

async function answer(line) {
  const { id, method, params } = JSON.parse(line);
  let reply;
  try {
    if (!methods[method]) throw new Error(`no method ${method}`);
    reply = { id, result: flat((await methods[method](params ?? {})) ?? null) };
  } catch (error) {
    reply = { id, error: { name: error.name, message: String(error.message), code: null, logs: error.logs ?? [] } };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}

const input = createInterface({ input: process.stdin });
input.on('line', (line) => void answer(line));
input.on('close', () => process.exit(0));
