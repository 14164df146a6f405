// Runs the official client @nosana/kit by commands: one JSON object per line on stdin, one answer per line on stdout.
//   {"id": 1, "method": "post", "params": {...}}  ->  {"id": 1, "result": ...}  or  {"id": 1, "error": {...}}
// The chain's and the content store's addresses come with "connect" and replace every preset of the client, so that
// nothing but them is spoken to.
import { createInterface } from 'node:readline';
import * as kit from '@nosana/kit';
import { address, createKeyPairSignerFromBytes, lamports } from '@solana/kit';

// The answers are on stdout; what the client logs goes to stderr.
for (const name of ['log', 'info', 'debug', 'warn']) console[name] = (...all) => console.error(...all);

let client;

const send = async (instruction) => client.solana.buildSignAndSend(instruction);

const methods = {
  validate: ({ definition }) => kit.validateJobDefinition(definition),

  async connect({ network, rpc, ws, content, secret, programs, fees }) {
    const wallet = await createKeyPairSignerFromBytes(Uint8Array.from(secret));
    client = kit.createNosanaClient(network, {
      wallet,
      logLevel: 'error',
      solana: { rpcEndpoint: rpc, wsEndpoint: ws, priorityFees: fees ?? undefined },
      ipfs: { api: content, gateway: `${content}/ipfs/`, jwt: 'localnet' },
      api: { backend_url: content, client_manager_url: content },
      programs,
    });
    return wallet.address;
  },

  async airdrop({ to, amount }) {
    return client.solana.rpc.requestAirdrop(address(to), lamports(BigInt(amount))).send();
  },
  async balance({ of }) {
    return { lamports: await client.solana.getBalance(of), nos: await client.nos.getBalance(of) };
  },

  pin: ({ document }) => client.ipfs.pin(document),
  pin_file: ({ path }) => client.ipfs.pinFile(path),
  retrieve: ({ cid }) => client.ipfs.retrieve(cid),

  async open({ price, timeout, expiration }) {
    const instruction = await client.jobs.open({ jobPrice: price, jobTimeout: timeout, jobExpiration: expiration });
    const signature = await send(instruction);
    return { market: instruction.accounts[1].address, signature };
  },
  async close({ market }) {
    return { signature: await send(await client.jobs.close({ market: address(market) })) };
  },
  async post({ market, timeout, cid }) {
    const instruction = await client.jobs.post({ market: address(market), timeout, ipfsHash: cid });
    const signature = await send(instruction);
    return { job: instruction.accounts[0].address, run: instruction.accounts[2].address, signature };
  },
  async extend({ job, seconds }) {
    return { signature: await send(await client.jobs.extend({ job: address(job), timeout: seconds })) };
  },
  async end({ job }) {
    return { signature: await send(await client.jobs.end({ job: address(job) })) };
  },
  async delist({ job }) {
    return { signature: await send(await client.jobs.delist({ job: address(job) })) };
  },
  async work({ market }) {
    const instruction = await client.jobs.work({ market: address(market) });
    return { run: instruction.accounts[0].address, signature: await send(instruction) };
  },
  async finish({ job, cid }) {
    return { signature: await send(await client.jobs.finish({ job: address(job), ipfsResultsHash: cid })) };
  },
  async complete({ job, cid }) {
    return { signature: await send(await client.jobs.complete({ job: address(job), ipfsResultsHash: cid })) };
  },
  async quit({ run }) {
    return { signature: await send(await client.jobs.quit({ run: address(run) })) };
  },
  async stop({ market, node }) {
    return { signature: await send(await client.jobs.stop({ market: address(market), node: node && address(node) })) };
  },

  job: ({ address: of }) => client.jobs.get(address(of)),
  jobs: (filters) => client.jobs.all(filters),
  market: ({ address: of }) => client.jobs.market(address(of)),
  markets: () => client.jobs.markets(),
  run: ({ address: of }) => client.jobs.run(address(of)),
  runs: (filters) => client.jobs.runs(filters),
  stake: ({ address: of }) => client.stake.get(address(of)),
  stakes: () => client.stake.all(),

  // Follows the program's accounts until one of the kind and address asked for is seen; resolves with its data.
  async watch({ kind, address: of, state }) {
    const [events, stop] = await client.jobs.monitorDetailed();
    try {
      for await (const event of events) {
        const fits = event.type === kind && (!of || event.data.address === of);
        if (fits && (state === undefined || event.data.state === state)) return event.data;
      }
    } finally {
      stop();
    }
    return null;
  },
};

const plain = (_key, value) => (typeof value === 'bigint' ? Number(value) : value);

// Programs name their errors in log lines only; the client hides them some causes down.
function explain(error) {
  const logs = [];
  for (let cause = error; cause; cause = cause.cause ?? cause.details) {
    if (Array.isArray(cause.context?.logs)) logs.push(...cause.context.logs);
    if (Array.isArray(cause.logs)) logs.push(...cause.logs);
  }
  return { name: error.name, message: String(error.message), code: error.code ?? null, logs };
}

async function answer(line) {
  const { id, method, params } = JSON.parse(line);
  let reply;
  try {
    if (!methods[method]) throw new Error(`no method ${method}`);
    reply = { id, result: (await methods[method](params ?? {})) ?? null };
  } catch (error) {
    reply = { id, error: explain(error) };
  }
  process.stdout.write(`${JSON.stringify(reply, plain)}\n`);
}

const input = createInterface({ input: process.stdin });
input.on('line', (line) => void answer(line));
input.on('close', () => process.exit(0));
