// A job's owner with the network's own packages: auth strings by @nosana/authorization (what @nosana/kit is built on) and
// by @nosana/sdk, requests by fetch, sockets by the `ws` that those packages bring. One JSON object per line, as kit.mjs.
import { createInterface } from 'node:readline';
import { createNosanaAuthorization } from '@nosana/authorization';
import { Keypair } from '@solana/web3.js';
import WebSocket from 'ws';

for (const name of ['log', 'info', 'debug', 'warn']) console[name] = (...all) => console.error(...all);

const { AuthorizationManager } = await import('@nosana/sdk');

let kit;
let sdk;

const headerOf = async (by, message, includeTime) =>
  by === 'kit' ? kit.generateHeaders(message, { includeTime }) : sdk.generateHeader(message, { includeTime });

const methods = {
  connect({ secret }) {
    const key = Keypair.fromSecretKey(Uint8Array.from(secret));
    kit = createNosanaAuthorization(key.secretKey);
    sdk = new AuthorizationManager(key);
    return key.publicKey.toBase58();
  },

  generate: ({ message, time }) => kit.generate(message, { includeTime: time }),

  async ask({ url, verb = 'GET', by = 'kit', message, time = true, body }) {
    const headers = await headerOf(by, message, time);
    if (body !== undefined) headers.append('Content-Type', 'application/json');
    const answer = await fetch(url, { method: verb, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() };
  },

  // The data of the first events of a stream.
  async events({ url, message, count }) {
    const answer = await fetch(url, { headers: await headerOf('kit', message, true) });
    const found = [];
    let text = '';
    for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
      text += piece;
      const events = text.split('\n\n');
      text = events.pop();
      for (const event of events) if (event.startsWith('data: ')) found.push(JSON.parse(event.slice(6)));
      if (found.length >= count) break;
    }
    return found;
  },

  // The first frames that come back for one of ours, read as the network's command line reads them.
  async frames({ url, path, message, time = true, body, count }) {
    const header = await kit.generate(message, { includeTime: time });
    const socket = new WebSocket(url);
    const found = [];
    return new Promise((resolve, reject) => {
      socket.on('open', () => socket.send(JSON.stringify({ path, header, body })));
      socket.on('error', reject);
      socket.on('close', (code) => resolve({ found, code }));
      socket.on('message', (raw) => {
        const response = JSON.parse(raw.toString());
        found.push({ path: response.path, data: JSON.parse(response.data) });
        if (found.length >= count) socket.close(1000);
      });
    });
  },
};

const explain = (error) => ({ name: error.name, message: String(error.message), code: error.code ?? null });

async function answer(line) {
  const { id, method, params } = JSON.parse(line);
  let reply;
  try {
    reply = { id, result: (await methods[method](params ?? {})) ?? null };
  } catch (error) {
    reply = { id, error: explain(error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}

const input = createInterface({ input: process.stdin });
input.on('line', (line) => void answer(line));
input.on('close', () => process.exit(0));
