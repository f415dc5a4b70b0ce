// Named checks. The name is a sentence that is true or not.
import { isDeepStrictEqual, inspect } from 'node:util';

export class Checks {
  passed = 0;
  failures = [];
  #print;
  #stop;

  /** With `stop`, the first failure is thrown and ends the run. */
  constructor({ print = console.log, stop = false } = {}) {
    this.#print = print;
    this.#stop = stop;
  }

  /** Runs one check. An exception is the failure's reason. */
  async check(sentence, holds) {
    try {
      await holds();
      this.passed += 1;
      this.#print(`ok      ${sentence}`);
    } catch (error) {
      const why = String(error?.message ?? error).replaceAll('\n', '\n        ');
      this.failures.push({ sentence, why });
      this.#print(`FAILED  ${sentence}\n        ${why}`);
      if (this.#stop) throw error;
    }
  }

  /** Prints the count; the exit code is 1 if anything failed. */
  finish(what) {
    const count = this.passed + this.failures.length;
    this.#print(`${what}: ${count} checks, ${this.passed} passed, ${this.failures.length} failed`);
    for (const { sentence } of this.failures) this.#print(`  failed: ${sentence}`);
    process.exitCode = this.failures.length > 0 || count === 0 ? 1 : 0;
  }
}

/** Like assert.deepStrictEqual, with one line for each side in the message. */
export function same(actual, expected, what = 'value') {
  if (isDeepStrictEqual(actual, expected)) return;
  const shown = (value) => inspect(value, { depth: 8, breakLength: Infinity, maxStringLength: 300 });
  throw new Error(`${what}: got ${shown(actual)}\nexpected ${shown(expected)}`);
}

export function holds(condition, what) {
  if (!condition) throw new Error(what);
}

/** These variables of the environment. Exits with a line that names what is missing. `A|B` is A, or else B. */
export function settings(...variables) {
  const found = variables.map((names) => names.split('|')).map((names) => [names[0], names.map((name) => process.env[name]).find(Boolean)]);
  const missing = found.filter(([, value]) => !value).map(([name]) => name);
  if (missing.length > 0) {
    console.error(`not set in the environment: ${missing.join(', ')}`);
    process.exit(2);
  }
  return Object.fromEntries(found);
}

/** What `call` throws; it is an error to throw nothing. */
export async function thrown(call) {
  let value;
  try {
    value = await call();
  } catch (error) {
    return error;
  }
  throw new Error(`expected an error, got ${inspect(value, { breakLength: Infinity })}`);
}

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
