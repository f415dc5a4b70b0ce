// Checks the checks: a proxy changes one place of one response of a stand-in at a time, and a check must fail each time.
// Usage: node spoiled.mjs platform|lite|clerk, with the environment of that script. `--ways renamed,retyped` is quicker
// than all of them; `--all` prints which check noticed each change.
import { inspect, parseArgs } from 'node:util';
import { Checks } from './checks.mjs';
import { through } from './proxy.mjs';

const SCRIPTS = {
  platform: {
    module: './xata-platform.mjs',
    url: 'XATA_API_URL',
    only: { retries: false },
    atOnce: 24,
  },
  lite: {
    module: './xata-lite.mjs',
    url: 'XATA_API_URL',
    only: { policy: false },
    // All clients of a process share the `fetch` that was set last.
    atOnce: 1,
  },
  clerk: {
    module: './clerk-backend.mjs',
    url: 'CLERK_API_URL',
    only: { policy: false },
    atOnce: 4,
  },
};

/** Values that the vendors do not fix, so that no check can require them. */
const OPEN = {
  platform: [
    // Xata sets quotas per organization (docs/vendors/xata.md, "Quotas").
    /\/limits 200 \.max(Projects|ProjectsPerHour|BranchesPerOrg) changed$/,
    // The id of an instance, and its own word for its state (docs/vendors/xata.md, "Describing a branch").
    /\.status\.instances\.\*\.(id|status) changed$/,
  ],
  lite: [
    // Texts other than `invalid API key`, and the optional id of an error (docs/vendors/xata.md, "Lite: errors").
    /(400|404|422) \.message changed$/,
    /4\d\d \.id (dropped|changed)$/,
    // The name of a region (docs/vendors/xata.md, "Lite: regions").
    /\.regions\.\*\.name changed$/,
  ],
  clerk: [
    // The texts of errors, and the form of a trace id (docs/vendors/clerk.md, "Backend API errors").
    /\.(message|long_message|clerk_trace_id) changed$/,
  ],
};

const SPOILT = {
  dropped: () => undefined,
  renamed: () => undefined,
  retyped: (value) => (typeof value === 'string' || value === null ? 7 : typeof value === 'number' ? `${value}` : 'spoilt'),
  changed: (value) =>
    typeof value === 'string' ? `${value}~` : typeof value === 'number' ? value + 1 : typeof value === 'boolean' ? !value : value,
};

const options = { all: { type: 'boolean' }, ways: { type: 'string', default: 'dropped,renamed,retyped,changed' } };
const { values: { all, ways: listed }, positionals: [which] } = parseArgs({ allowPositionals: true, options });
const ways = listed.split(',');
const script = SCRIPTS[which];
if (!script || ways.some((way) => !(way in SPOILT))) {
  console.error(`usage: spoiled.mjs ${Object.keys(SCRIPTS).join('|')} [--ways ${Object.keys(SPOILT)}] [--all]`);
  process.exit(2);
}
const { environment: read, run } = await import(script.module);
const environment = read();

/** A call without its ids: `GET /organizations/_/projects/_/branches 200`. */
const kind = ({ method, path }, status) => {
  const [route] = path.split('?');
  return `${method} ${route.replace(/(organizations|projects|branches|workspaces|dbs|users)\/(?!(limits|count)$)[^/]+/g, '$1/_')} ${status}`;
};

/** Every place of a JSON value, as its path; the elements of a list are one place. */
function places(value, path = [], into = new Map()) {
  if (path.length > 0) into.set(path.join('.'), path);
  if (Array.isArray(value)) for (const each of value) places(each, [...path, '*'], into);
  else if (value && typeof value === 'object') for (const [name, each] of Object.entries(value)) places(each, [...path, name], into);
  return into;
}

function spoil(value, [first, ...rest], way) {
  if (value === null || typeof value !== 'object') return;
  const names = first === '*' ? Object.keys(value) : first in value ? [first] : [];
  for (const name of names) {
    if (rest.length > 0) spoil(value[name], rest, way);
    else if (way === 'renamed') (value[`${name}_`] = value[name]), delete value[name];
    else if (way === 'dropped') delete value[name];
    else value[name] = SPOILT[way](value[name]);
  }
}

/** Runs the checks through a proxy that changes responses; returns the failures. */
async function noticed(change) {
  const act = (request) => (answer) => change(kind(request, answer.status), answer, request);
  const checks = new Checks({ print() {}, stop: true });
  const only = { ...script.only, direct: environment };
  await through(environment[script.url], act, ({ url }) => run({ ...environment, [script.url]: url }, checks, only)).catch((error) => {
    if (checks.failures.length === 0) throw error;
  });
  return checks.failures;
}

/** The places of each kind of response, from a run without a change. */
const kinds = new Map();
const failures = await noticed((what, answer) => {
  const seen = kinds.get(what) ?? new Map();
  kinds.set(what, seen);
  if (answer.body) places(JSON.parse(answer.body), [], seen);
});
if (failures.length > 0) {
  console.error(`unspoilt, ${failures.length} checks fail: ${inspect(failures)}`);
  process.exit(1);
}

const spoilings = [];
for (const [what, seen] of kinds) {
  const edit = (name, change) =>
    spoilings.push({ name: `${what} ${name}`, change: (kind, answer) => (kind === what ? change(answer) : undefined) });
  const status = Number(what.split(' ').at(-1));
  edit(`answered ${status + 1}`, (answer) => ({ ...answer, status: status + 1 }));
  if (seen.size === 0) continue;
  edit('with a member more', (answer) => ({ ...answer, body: JSON.stringify({ ...JSON.parse(answer.body), more: 1 }) }));
  for (const path of seen.values()) {
    for (const way of ways) {
      if ((way === 'renamed' || way === 'dropped') && path.at(-1) === '*') continue;
      const name = `.${path.join('.')} ${way}`;
      if (OPEN[which].some((pattern) => pattern.test(`${what} ${name}`))) continue;
      const change = (answer) => {
        const body = JSON.parse(answer.body);
        spoil(body, path, way);
        return { ...answer, body: JSON.stringify(body) };
      };
      edit(name, change);
    }
  }
}
// Some changes have no effect: those of a list, an object or a null, or of an absent place.
let unspoilt = 0;
const unnoticed = [];
async function judge({ name, change }) {
  let touched = false;
  const failures = await noticed((kind, answer) => {
    const changed = change(kind, answer);
    if (changed && (changed.status !== answer.status || changed.body !== JSON.stringify(JSON.parse(answer.body || 'null')))) touched = true;
    return changed;
  });
  if (!touched) unspoilt += 1;
  else if (failures.length === 0) unnoticed.push(name);
  else if (all) console.log(`${name}\n        ${failures[0].sentence}`);
}
// Runs without a change are among them. They must pass; else concurrency is what fails.
const CONTROLS = 8;
const work = [...spoilings];
for (let n = 0; n < CONTROLS; n++) work.splice(Math.round((n * work.length) / CONTROLS), 0, undefined);
const crowded = [];
await Promise.all(
  Array.from({ length: script.atOnce }, async () => {
    while (work.length > 0) {
      const spoiling = work.shift();
      if (spoiling) await judge(spoiling);
      else crowded.push(...(await noticed(() => undefined)));
    }
  }),
);
const count = spoilings.length - unspoilt;
console.log(`${which}: ${count} ways to spoil ${kinds.size} kinds of answer, ${count - unnoticed.length} noticed, ${unnoticed.length} not`);
for (const name of unnoticed) console.log(`  not noticed: ${name}`);
if (crowded.length > 0) console.log(`  failed without a change: ${inspect(crowded)}`);
process.exitCode = unnoticed.length > 0 || crowded.length > 0 || count === 0 ? 1 : 0;
