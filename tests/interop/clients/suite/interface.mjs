// The interface of a program as newer versions of anchor want it, from the older form that is on the chain.
import { createHash } from 'node:crypto';
import { inflateSync } from 'node:zlib';
import { PublicKey } from '@solana/web3.js';

// The interface that a program's authors put on the chain: 8 bytes of kind, the authority, a length, and compressed JSON.
export async function published(connection, program) {
  const [base] = PublicKey.findProgramAddressSync([], program);
  const { data } = await connection.getAccountInfo(await PublicKey.createWithSeed(base, 'anchor:idl', program));
  return JSON.parse(inflateSync(data.subarray(44, 44 + data.readUInt32LE(40))));
}

const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const digest = (text) => [...createHash('sha256').update(text).digest().subarray(0, 8)];

function type(of) {
  if (of === 'publicKey') return 'pubkey';
  if (of?.defined) return { defined: { name: of.defined } };
  if (of?.vec) return { vec: type(of.vec) };
  if (of?.option) return { option: type(of.option) };
  if (of?.array) return { array: [type(of.array[0]), of.array[1]] };
  return of;
}

const field = ({ name, type: of }) => ({ name: snake(name), type: type(of) });

export function modern(old, address) {
  return {
    address,
    metadata: { name: old.name, version: old.version, spec: '0.1.0' },
    instructions: old.instructions.map(({ name, accounts, args }) => ({
      name: snake(name),
      discriminator: digest(`global:${snake(name)}`),
      accounts: accounts.map((one) => ({ name: snake(one.name), writable: one.isMut, signer: one.isSigner })),
      args: args.map(field),
    })),
    accounts: old.accounts.map(({ name }) => ({ name, discriminator: digest(`account:${name}`) })),
    errors: old.errors ?? [],
    types: [...old.accounts, ...(old.types ?? [])].map(({ name, type: of }) => ({
      name,
      type: of.kind === 'struct' ? { kind: 'struct', fields: of.fields.map(field) } : of,
    })),
  };
}
