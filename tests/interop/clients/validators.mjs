// Both official validators, and the functions by which clients find services: one JSON object per line on stdin, one
// answer per line on stdout, as kit.mjs does.
import { createInterface } from 'node:readline';
import * as endpoints from '@nosana/endpoints';
import * as sdk from '@nosana/sdk';
import * as types from '@nosana/types';

for (const name of ['log', 'info', 'debug', 'warn']) console[name] = (...all) => console.error(...all);

// Some documents make them throw; no document is valid by that.
function verdict(validate, document) {
  try {
    const found = validate(document);
    return found.success ? [] : found.errors.map(({ path, expected }) => [path, expected]);
  } catch (error) {
    return { thrown: String(error.message) };
  }
}

function services(definition, job) {
  try {
    return endpoints.getJobExposedServices(definition, job);
  } catch (error) {
    return { thrown: String(error.message) };
  }
}

const methods = {
  validate: ({ documents }) =>
    documents.map((document) => ({
      types: verdict(types.validateJobDefinition, document),
      sdk: verdict(sdk.validateJobDefinition, document),
    })),
  services: ({ definitions, job }) => definitions.map((definition) => services(definition, job)),
};

const input = createInterface({ input: process.stdin });
input.on('line', (line) => {
  const { id, method, params } = JSON.parse(line);
  process.stdout.write(`${JSON.stringify({ id, result: methods[method](params) })}\n`);
});
input.on('close', () => process.exit(0));
