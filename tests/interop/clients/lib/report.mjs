// What a flow did: every call it made on a client, and every step with its outcome. A flow is a program that reads one JSON
// document (the chain it is pointed at) from stdin and writes one (its report) to stdout.
import assert from 'node:assert/strict';

// What clients log goes to stderr: stdout is the report's.
for (const name of ['log', 'info', 'debug', 'warn']) console[name] = (...all) => console.error(...all);
// A client that finds this variable ignores the address it is given.
delete process.env.ANCHOR_PROVIDER_URL;

const STEP_SECONDS = 90;

export class Report {
  #calls = new Map();
  #steps = [];
  #offered = new Map();
  #step = '';

  // A client's service whose calls are noted as `path.name`; the service's own inner calls are not. What it inherits from
  // `base`, another service, is offered there.
  watch(service, path, base = {}) {
    const inherited = new Set(functions(base));
    this.#offered.set(path, functions(service).filter((name) => !inherited.has(name)));
    return this.#watched(service, path);
  }

  #watched(service, path) {
    return new Proxy(service, {
      get: (object, name) => {
        const value = Reflect.get(object, name, object);
        if (typeof name !== 'string' || typeof value !== 'function') return value;
        return (...inputs) => this.#call(`${path}.${name}`, () => value.apply(object, inputs));
      },
      set: (object, name, value) => Reflect.set(object, name, value, object),
    });
  }

  // Note a call of a function that is not a service's member.
  async call(name, run) {
    return this.#call(name, run);
  }

  #call(name, run) {
    const entry = { step: this.#step, threw: null };
    this.#note(name, entry);
    const refuse = (error) => {
      entry.threw = sentence(error);
      throw error;
    };
    let value;
    try {
      value = run();
    } catch (error) {
      refuse(error);
    }
    return typeof value?.then === 'function' && !isBuilder(value) ? value.then((done) => done, refuse) : value;
  }

  #note(name, entry) {
    const known = this.#calls.get(name) ?? [];
    known.push(entry);
    this.#calls.set(name, known);
  }

  // One thing a user does, with the assertions on what came of it. A step that fails does not end the flow.
  async step(name, run) {
    this.#step = name;
    const began = performance.now();
    let why = null;
    try {
      await within(STEP_SECONDS, run());
    } catch (error) {
      why = error.stack ? `${explain(error)}\n${error.stack}` : explain(error);
    }
    this.#steps.push({ name, why, seconds: (performance.now() - began) / 1000 });
    this.#step = '';
  }

  // What each watched service offers, by the names of its functions.
  offered() {
    const names = [];
    for (const [path, own] of this.#offered) for (const name of own) names.push(`${path}.${name}`);
    return names.sort();
  }

  print() {
    const document = { offered: this.offered(), calls: Object.fromEntries(this.#calls), steps: this.#steps };
    process.stdout.write(JSON.stringify(document), () => process.exit(0));
  }
}

// anchor's builders are no promises, though a proxy around one may answer to any name.
const isBuilder = (value) => typeof value?.instruction === 'function';

// The functions of an object and of its classes, private ones by convention left out.
export function functions(object) {
  const names = new Set();
  for (let at = object; at && at !== Object.prototype && at !== Function.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (typeof value === 'function' && name !== 'constructor' && !name.startsWith('_')) names.add(name);
    }
  }
  return [...names].sort();
}

// The program logs a client was given, however deep it put them.
export function logs(error) {
  const found = [];
  const seen = new Set();
  for (let cause = error; cause && typeof cause === 'object' && !seen.has(cause); cause = cause.cause ?? cause.details) {
    seen.add(cause);
    for (const lines of [cause.context?.logs, cause.logs, cause.transactionLogs]) {
      if (Array.isArray(lines)) found.push(...lines);
    }
  }
  return found;
}

const sentence = (error) => String(error?.message ?? error).split('\n')[0].slice(0, 200);
const explain = (error) => [String(error?.message ?? error), ...logs(error)].join('\n');

// The action must fail, and the error's text or logs must match.
export async function refused(action, pattern) {
  let error = null;
  try {
    await action();
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error, `expected a refusal that says ${pattern}`);
  let said = explain(error);
  for (let cause = error.cause; cause; cause = cause.cause) said += `\n${cause.message ?? cause}`;
  assert.match(said, pattern);
  return error;
}

export async function within(seconds, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing happened in ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Ask until the answer fits.
export async function until(ask, fits, seconds = 30) {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (fits(answer)) return answer;
    if (performance.now() > end) throw new Error(`not there in ${seconds} s: ${JSON.stringify(answer, plain).slice(0, 500)}`);
    await sleep(50);
  }
}

const plain = (_key, value) => (typeof value === 'bigint' ? Number(value) : value);

export async function input() {
  let text = '';
  for await (const chunk of process.stdin) text += chunk;
  return JSON.parse(text);
}
