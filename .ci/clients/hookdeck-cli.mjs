// The official Hookdeck CLI and `ops setup hookdeck` each set the same connection up, and the two requests are compared,
// member by member (docs/vendors/hookdeck.md, "Connection upsert", "Upsert traps" and "Hookdeck CLI").
// Environment: OPS, the binary; HOOKDECK_API_URL and HOOKDECK_API_KEY, as `cargo dev standins` prints them.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Checks, holds, same, settings } from './checks.mjs';
import { through } from './proxy.mjs';

const { OPS, HOOKDECK_API_URL: target, HOOKDECK_API_KEY: key } = settings('OPS', 'HOOKDECK_API_URL', 'HOOKDECK_API_KEY');
const here = (path) => fileURLToPath(new URL(`node_modules/hookdeck-cli/${path}`, import.meta.url));
const { version } = JSON.parse(await readFile(here('package.json')));

const PATH = '/2026-09-01/connections';
const URL_ = 'https://abc123.lambda-url.eu-west-1.on.aws/';
const SECRET = `whsec_${randomBytes(24).toString('base64')}`;
const FILTER = { type: { $in: ['user.created', 'user.deleted'] } };

const work = await mkdtemp(join(tmpdir(), 'hookdeck-'));
const run = (file, args, env) =>
  new Promise((resolve) => {
    execFile(file, args, { env, cwd: work, timeout: 120_000 }, (error, out, err) => resolve({ code: error ? (error.code ?? 1) : 0, out, err }));
  });

/** The requests of `call`, which a proxy passes on to the stand-in. */
const seen = (call) =>
  through(target, undefined, async ({ url, requests }) => {
    const { code, out, err } = await call(url);
    holds(code === 0, `exit code ${code}: ${out}${err}`);
    return { out, requests, puts: requests.filter(({ method }) => method === 'PUT') };
  });

/** The CLI, with a configuration of its own. */
const cli = (name, args) =>
  seen(async (url) => {
    const file = join(work, 'config.toml');
    const profile = ['[default]', `api_key = "${key}"`, 'project_id = "tm_local"', 'project_mode = "inbound"', 'project_type = "Gateway"'];
    const config = ['profile = "default"', `api_base = "${url}"`, `ws_base = "${url.replace('http', 'ws')}"`, 'telemetry_disabled = true', ...profile];
    await writeFile(file, `${config.join('\n')}\n`);
    const command = ['--hookdeck-config', file, 'gateway', 'connection', 'upsert', name, '--output', 'json'];
    return run(process.execPath, [here('bin/hookdeck.js'), ...command, ...args], { PATH: process.env.PATH, HOME: work, HOOKDECK_CLI_TELEMETRY_DISABLED: '1' });
  });

const ops = (args, env = {}) => seen((url) => run(OPS, ['setup', 'hookdeck', '--json', ...args], { HOOKDECK_API_URL: url, HOOKDECK_API_KEY: key, ...env }));

/** Names that no run has used. */
const names = () => {
  const random = randomBytes(6).toString('hex');
  return { source: `clerk-${random}`, name: `per-user-db-${random}` };
};
const SIGNED = ['--destination-auth-method', 'hookdeck', '--destination-path-forwarding-disabled', 'true'];
const RULES = [
  ...['--rule-filter-body', JSON.stringify(FILTER)],
  ...['--rule-retry-strategy', 'exponential', '--rule-retry-interval', '30000', '--rule-retry-count', '13'],
];
const http = ({ name }) => [
  ...['--destination-name', name, '--destination-type', 'HTTP', '--destination-url', URL_, ...SIGNED],
  ...['--destination-rate-limit', '2', '--destination-rate-limit-period', 'concurrent', ...RULES],
];

/** Every member of both, so that the place of a difference is named. */
function alike(ours, theirs, at = 'body') {
  const isPlain = (value) => value !== null && typeof value === 'object';
  if (!isPlain(ours) || !isPlain(theirs)) return same(ours, theirs, at);
  same(Object.keys(ours).sort(), Object.keys(theirs).sort(), `members of ${at}`);
  for (const name of Object.keys(theirs)) alike(ours[name], theirs[name], `${at}.${name}`);
}

const body = ({ puts }) => {
  same(puts.map(({ path }) => path), [PATH], 'changes');
  return JSON.parse(puts[0].body);
};

const checks = new Checks();
const check = checks.check.bind(checks);

await check('the CLI sets a connection up in one request, with its key as Basic authentication', async () => {
  const it = names();
  const { requests, out } = await cli(it.name, ['--source-name', it.source, '--source-type', 'SVIX', ...http(it)]);
  same(requests.map(({ method, path }) => `${method} ${path}`), [`PUT ${PATH}`], 'requests');
  const { authorization, 'user-agent': agent, 'content-type': type } = requests[0].headers;
  same([authorization, agent, type], [`Basic ${btoa(`${key}:`)}`, `Hookdeck/v1 hookdeck-cli/${version}`, 'application/json'], 'headers');
  const { name, source, destination, rules } = JSON.parse(out);
  same([name, source.name, source.type, destination.name, rules.length], [it.name, it.source, 'SVIX', it.name, 2], 'the output of the CLI');
});

await check('with the secret, ops sends what the CLI sends', async () => {
  const it = names();
  const ours = await ops(['--url', URL_, '--source', it.source, '--name', it.name], { CLERK_WEBHOOK_SIGNING_SECRET: SECRET });
  const config = JSON.stringify({ auth: { webhook_secret_key: SECRET } });
  const theirs = await cli(it.name, ['--source-name', it.source, '--source-type', 'SVIX', '--source-config', config, ...http(it)]);
  alike(body(ours), body(theirs));
  same(body(ours).source.config.auth.webhook_secret_key, SECRET, 'secret');
});

await check('without the secret, ops sends the first time what the CLI sends', async () => {
  const it = names();
  const ours = await ops(['--url', URL_, '--source', it.source, '--name', it.name]);
  const theirs = await cli(it.name, ['--source-name', it.source, '--source-type', 'SVIX', ...http(it)]);
  alike(body(ours), body(theirs));
});

await check('without the secret, ops later names the source by its id, as the CLI does with an id ("Upsert traps", 2)', async () => {
  const it = names();
  const args = ['--source', it.source, '--name', it.name];
  await ops(['--url', 'https://before.example/', ...args], { CLERK_WEBHOOK_SIGNING_SECRET: SECRET });
  const ours = await ops(['--url', URL_, ...args]);
  const theirs = await cli(it.name, ['--source-id', body(ours).source_id, ...http(it)]);
  alike(body(ours), body(theirs));
  same(JSON.parse(ours.out).secret, 'kept', 'secret');
});

await check('for local forwarding, ops sends what the CLI sends, and disables path forwarding', async () => {
  const it = names();
  const destination = ['--destination-name', it.name, '--destination-type', 'CLI', '--destination-cli-path', '/webhooks/clerk', ...SIGNED];
  const ours = body(await ops(['--cli', '--source', it.source, '--name', it.name]));
  const theirs = body(await cli(it.name, ['--source-name', it.source, '--source-type', 'SVIX', ...destination, ...RULES]));
  // The CLI accepts the flag for a CLI destination, too, and does not send it.
  same('path_forwarding_disabled' in theirs.destination.config, false, 'what the CLI sends');
  theirs.destination.config.path_forwarding_disabled = true;
  alike(ours, theirs);
});

await check('ops finds no difference in what the CLI has set up', async () => {
  const it = names();
  const config = JSON.stringify({ auth: { webhook_secret_key: SECRET } });
  await cli(it.name, ['--source-name', it.source, '--source-type', 'SVIX', '--source-config', config, ...http(it)]);
  const { out, puts } = await ops(['--url', URL_, '--dry-run', '--source', it.source, '--name', it.name], { CLERK_WEBHOOK_SIGNING_SECRET: SECRET });
  const { outcome, differences, secret } = JSON.parse(out);
  same([outcome, differences, secret, puts.length], ['unchanged', [], 'same', 0], 'plan');
});

await rm(work, { recursive: true });
checks.finish(`hookdeck-cli ${version} beside ops setup hookdeck`);
