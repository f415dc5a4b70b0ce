// @xata.io/client calls the stand-in of Xata Lite (docs/vendors/xata.md, "Xata Lite").
// Environment: what `cargo dev standins --api lite --env` prints.
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { FetcherError, XataApiClient } from '@xata.io/client';
import { Checks, holds, same, settings, sleep, thrown } from './checks.mjs';
import { gaps, through } from './proxy.mjs';

const VERSION = '0.30.1';
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
const CALLS = [
  'getDatabaseList', 'createDatabase', 'getDatabaseMetadata', 'updateDatabaseMetadata', 'renameDatabase', 'deleteDatabase', 'listRegions',
];

/** A client that records its exchanges. It never calls the data plane. */
function client(url, apiKey) {
  const exchanges = [];
  const { databases } = new XataApiClient({
    apiKey,
    host: { main: url, workspaces: `${url}/data-plane/{workspaceId}/{region}` },
    fetch: async (url, init) => {
      const response = await fetch(url, init);
      const text = await response.clone().text();
      exchanges.push({ status: response.status, text });
      return response;
    },
  });
  const calls = Object.fromEntries(CALLS.map((name) => [name, databases[name]]));
  return { ...calls, exchanges, last: () => exchanges.at(-1) };
}

/** Exactly these members, each of its type; a type with `?` belongs to an optional member. */
function shape(value, members, what) {
  holds(value !== null && typeof value === 'object' && !Array.isArray(value), `${what} is ${JSON.stringify(value)}`);
  for (const name of Object.keys(value)) holds(name in members, `${what} has a member ${name}`);
  for (const [name, type] of Object.entries(members)) {
    const wanted = type.replace('?', '');
    if (value[name] === undefined && type.startsWith('?')) continue;
    holds(typeof value[name] === wanted, `${what}: ${name} is ${JSON.stringify(value[name])}, not of type ${wanted}`);
    holds(value[name] !== '', `${what}: ${name} is empty`);
  }
}

function isDatabase(value, what) {
  const members = { name: 'string', region: 'string', createdAt: 'string', defaultClusterID: '?string', postgresEnabled: '?boolean', ui: '?object' };
  shape(value, members, what);
  holds(UTC.test(value.createdAt) && !Number.isNaN(Date.parse(value.createdAt)), `${what}: createdAt is ${value.createdAt}`);
  if (value.ui) shape(value.ui, { color: '?string' }, `${what}: ui`);
}

/** Makes a call that must answer `status`. */
async function answer(lite, call, params, status) {
  const value = await lite[call](params);
  same(lite.last().status, status, `status of ${call}`);
  same(JSON.parse(lite.last().text), value, 'result of the client');
  return value;
}

/** Makes a call that must fail with one of these statuses and a message. */
async function refused(lite, call, params, ...statuses) {
  const error = await thrown(() => lite[call](params));
  holds(error instanceof FetcherError, `${call} threw ${error}`);
  holds(statuses.includes(error.status), `${call} is ${error.status}, not ${statuses}`);
  const body = JSON.parse(lite.last().text);
  shape(body, { id: '?string', message: 'string' }, `body of ${error.status}`);
  same([error.message, error.errors], [body.message, [{ message: body.message, status: error.status }]], 'error of the client');
  return error;
}

export const environment = () => settings('XATA_API_URL', 'XATA_API_KEY', 'XATA_WORKSPACE_SLUG|XATA_WORKSPACE_ID');

export async function run(environment, checks, { policy = true } = {}) {
  const { XATA_API_URL: url, XATA_API_KEY: key, XATA_WORKSPACE_SLUG: workspaceId } = environment;
  const check = checks.check.bind(checks);
  const lite = client(url, key);
  const suffix = randomBytes(6).toString('hex');
  const name = `user_2abcDEFghiJKLmnoP${suffix}`;
  const inWorkspace = { pathParams: { workspaceId } };
  const at = (dbName) => ({ pathParams: { workspaceId, dbName } });
  const create = (dbName, body) => ({ ...at(dbName), body });
  const does = (call, params, status) => answer(lite, call, params, status);
  const refuses = (...given) => refused(lite, ...given);
  const listed = async () => {
    const list = await does('getDatabaseList', inWorkspace, 200);
    same(Object.keys(list), ['databases'], 'members of the list');
    return list.databases;
  };
  let database;

  await check('the regions have an id and a name, and the three of the first example are among them', async () => {
    const answer = await does('listRegions', inWorkspace, 200);
    same(Object.keys(answer), ['regions'], 'members');
    for (const region of answer.regions) shape(region, { id: 'string', name: 'string' }, 'region');
    const ids = answer.regions.map(({ id }) => id);
    same(new Set(ids).size, ids.length, 'different ids');
    for (const id of ['us-east-1', 'eu-west-1', 'ap-southeast-2']) holds(ids.includes(id), `${id} is missing`);
  });
  await check('an absent database is 404', async () => {
    await refuses('getDatabaseMetadata', at(name), 404);
  });
  await check('a create needs only a region; the response names the database in databaseName', async () => {
    const made = await does('createDatabase', create(name, { region: 'eu-west-1' }), 201);
    same(made, { databaseName: name, branchName: 'main', status: 'completed' }, 'answer');
  });
  await check('a database is read by its case-sensitive name, and has the region of its create', async () => {
    database = await does('getDatabaseMetadata', at(name), 200);
    isDatabase(database, 'database');
    same([database.name, database.region], [name, 'eu-west-1'], 'database');
    await refuses('getDatabaseMetadata', at(name.toLowerCase()), 404);
  });
  await check('the list shows what a read shows', async () => {
    const databases = await listed();
    for (const each of databases) isDatabase(each, 'listed');
    same(databases.filter((each) => each.name === name), [database], 'listed');
  });
  await check('a second create is 422 and changes nothing, in any region', async () => {
    for (const region of ['eu-west-1', 'us-east-1']) await refuses('createDatabase', create(name, { region }), 422);
    same(await does('getDatabaseMetadata', at(name), 200), database, 'database');
  });
  await check('a create accepts every documented member', async () => {
    const other = `Other_${suffix}~-`;
    const body = { region: 'us-east-1', branchName: 'main', postgresEnabled: false, ui: { color: 'blue' }, metadata: { labels: ['x'] } };
    const { databaseName } = await does('createDatabase', create(other, body), 201);
    same(databaseName, other, 'databaseName');
    const { createdAt, ...rest } = await does('getDatabaseMetadata', at(other), 200);
    same(rest, { name: other, region: 'us-east-1', postgresEnabled: false, ui: body.ui }, 'database');
    same((await listed()).find((each) => each.name === other), { createdAt, ...rest }, 'listed');
    await does('deleteDatabase', at(other), 200);
  });
  await check('of five concurrent creates of one name, one is 201', async () => {
    const params = create(`At-once_${suffix}`, { region: 'us-east-1' });
    const made = await Promise.allSettled(Array.from({ length: 5 }, () => lite.createDatabase(params)));
    const statuses = made.map(({ value, reason }) => (value ? 201 : reason.status)).sort();
    same(statuses[0], 201, 'statuses');
    for (const status of statuses.slice(1)) holds([422, 423].includes(status), `statuses ${statuses}`);
    await does('deleteDatabase', params, 200);
  });
  await check('a bad name is 400, a bad region 400 or 422, and nothing is created', async () => {
    const region = 'us-east-1';
    await does('createDatabase', create(`n${suffix}`.padEnd(255, 'x'), { region }), 201);
    await does('deleteDatabase', at(`n${suffix}`.padEnd(255, 'x')), 200);
    for (const bad of ['x'.repeat(256), 'a b', 'ü', 'a.b', 'db:main', 'a/b', '%']) await refuses('createDatabase', create(bad, { region }), 400);
    const unmade = `Unmade_${suffix}`;
    await refuses('createDatabase', create(unmade, { region: '' }), 400);
    await refuses('createDatabase', create(unmade, {}), 400);
    await refuses('createDatabase', create(unmade, { region: 'mars-1' }), 400, 422);
    await refuses('getDatabaseMetadata', at(unmade), 404);
  });
  await check('an update changes the colour and nothing else', async () => {
    const params = { ...at(name), body: { ui: { color: 'green' } } };
    const coloured = { ...database, ui: { color: 'green' } };
    same(await does('updateDatabaseMetadata', params, 200), coloured, 'answer');
    same(await does('getDatabaseMetadata', at(name), 200), coloured, 'database');
    await refuses('updateDatabaseMetadata', { ...params, ...at(`Nobody_${suffix}`) }, 404);
    database = coloured;
  });
  await check('a rename changes the name and nothing else, and fails if the name is taken', async () => {
    const other = `Renamed_${suffix}`;
    const to = (from, newName) => ({ ...at(from), body: { newName } });
    same(await does('renameDatabase', to(name, other), 200), { ...database, name: other }, 'answer');
    same(await does('getDatabaseMetadata', at(other), 200), { ...database, name: other }, 'database');
    await refuses('getDatabaseMetadata', at(name), 404);
    await does('createDatabase', create(name, { region: 'us-east-1' }), 201);
    await refuses('renameDatabase', to(other, name), 422);
    await refuses('renameDatabase', to(other, 'a b'), 400);
    await does('deleteDatabase', at(other), 200);
  });
  await check('a delete is 200 with the status completed, a second one 404', async () => {
    same(await does('deleteDatabase', at(name), 200), { status: 'completed' }, 'answer');
    await refuses('deleteDatabase', at(name), 404);
    await refuses('getDatabaseMetadata', at(name), 404);
    same((await listed()).filter((each) => each.name === name), [], 'listed');
  });
  await check('a wrong key is 401 to every call', async () => {
    const stranger = client(url, 'xau_wrong');
    const bodies = { createDatabase: { region: 'us-east-1' }, updateDatabaseMetadata: { ui: {} }, renameDatabase: { newName: 'x' } };
    for (const call of CALLS) {
      const error = await refused(stranger, call, { ...at(name), body: bodies[call] }, 401);
      same(error.message, 'invalid API key', 'message');
    }
  });
  await check('another workspace is 403 or 404', async () => {
    const elsewhere = { workspaceId: 'elsewhere-zzzzzz' };
    await refuses('getDatabaseList', { pathParams: elsewhere }, 403, 404);
    await refuses('createDatabase', { pathParams: { ...elsewhere, dbName: name }, body: { region: 'us-east-1' } }, 403, 404);
  });
  if (policy) await sdkPolicy(environment, check);
}

/** What the client sends, and when it retries (docs/vendors/xata.md, "Lite: the vendor's client"). */
async function sdkPolicy(environment, check) {
  const { XATA_API_URL: url, XATA_API_KEY: key, XATA_WORKSPACE_SLUG: workspaceId } = environment;
  const suffix = randomBytes(6).toString('hex');
  const dbName = `Policy_${suffix}`;
  const at = { pathParams: { workspaceId, dbName } };
  const put = (lite) => lite.createDatabase({ ...at, body: { region: 'us-east-1' } });
  const list = (lite) => lite.getDatabaseList({ pathParams: { workspaceId } });
  const isThere = async () => (await list(client(url, key))).databases.some(({ name }) => name === dbName);
  const failing = (status, headers = {}) => ({ status, headers: { 'content-type': 'application/json', ...headers }, body: '{"message":"no"}' });
  const seen = (act, call) =>
    through(url, act, async (it) => {
      const result = await call(client(it.url, key)).then((value) => ({ value }), (error) => ({ error }));
      return { ...result, requests: it.requests, gaps: gaps(it) };
    });

  await check('the client sends the documented headers and path', async () => {
    const { requests: [one, two] } = await seen(() => undefined, async (lite) => (await list(lite), list(lite)));
    same([one.method, one.path, one.body], ['GET', `/workspaces/${workspaceId}/dbs`, ''], 'request');
    const { authorization, 'content-type': type, 'accept-encoding': encoding, 'x-xata-agent': agent } = one.headers;
    same([authorization, type, encoding], [`Bearer ${key}`, 'application/json', 'identity'], 'headers');
    same(agent, `client=TS_SDK; version=${VERSION}`, 'agent');
    for (const header of ['x-xata-client-id', 'x-xata-session-id']) holds(UUID.test(one.headers[header]), `${header} is no UUID`);
    same(one.headers['x-xata-client-id'], two.headers['x-xata-client-id'], 'client id');
    holds(one.headers['x-xata-session-id'] !== two.headers['x-xata-session-id'], 'the session id stays the same');
    same([one, two].some(({ headers }) => 'idempotency-key' in headers), false, 'an idempotency key');
  });
  await check('the client returns the request id from the header', async () => {
    const { error } = await seen(() => failing(404, { 'x-request-id': 'req_1' }), list);
    same([error.status, error.requestId, `${error}`], [404, 'req_1', '[404] (req_1): Error: no'], 'error');
  });
  const warn = console.warn;
  console.warn = () => {};
  await check('the client repeats a 429 after the seconds of x-ratelimit-reset, a create too', async () => {
    const { value, requests, gaps } = await seen((_, n) => (n === 0 ? failing(429, { 'x-ratelimit-reset': '2' }) : undefined), put);
    same([value?.databaseName, requests.map(({ method }) => method)], [dbName, ['PUT', 'PUT']], 'result');
    holds(gaps[0] >= 1990 && gaps[0] < 20_000, `it waited ${gaps[0]} ms`);
    await client(url, key).deleteDatabase(at);
  });
  await check('it waits a second if the header is absent or no number', async () => {
    for (const headers of [{}, { 'x-ratelimit-reset': 'soon' }, { 'retry-after': '0' }]) {
      const { value, gaps } = await seen((_, n) => (n === 0 ? failing(429, headers) : undefined), list);
      holds(Array.isArray(value?.databases), 'there was no list');
      holds(gaps[0] >= 990 && gaps[0] < 20_000, `it waited ${gaps[0]} ms`);
    }
  });
  await check('it repeats a 429 without limit', async () => {
    const { value, requests } = await seen((_, n) => (n < 40 ? failing(429, { 'x-ratelimit-reset': '0' }) : undefined), list);
    same([Array.isArray(value?.databases), requests.length], [true, 41], 'list and requests');
  });
  console.warn = warn;
  await check('it repeats no other status, and no broken connection', async () => {
    for (const status of [400, 408, 409, 422, 423, 500, 502, 503, 504]) {
      const { error, requests } = await seen(() => failing(status, { 'retry-after': '0' }), list);
      same([error?.status, requests.length], [status, 1], `after ${status}`);
    }
    const { error, requests } = await seen(() => 'reset', put);
    holds(error && !(error instanceof FetcherError), `it threw ${error}`);
    same([requests.length, await isThere()], [1, false], 'requests, and whether it is there');
  });
  await check('a create whose response is lost has created the database, and a read finds it', async () => {
    const { error, requests } = await seen(() => 'lose', put);
    holds(error && !(error instanceof FetcherError), `it threw ${error}`);
    same([requests.length, await isThere()], [1, true], 'requests, and whether it is there');
    const { region } = await client(url, key).getDatabaseMetadata(at);
    same(region, 'us-east-1', 'region');
  });
  await check('a 2xx without JSON is an error', async () => {
    const { error } = await seen(() => (answer) => ({ ...answer, body: 'gone' }), (lite) => lite.deleteDatabase(at));
    holds(error instanceof FetcherError, `it threw ${error}`);
    same([error.status, await isThere()], [200, false], 'status, and whether it is there');
  });
  await check('at most ten requests are in flight', async () => {
    let flying = 0;
    let most = 0;
    const act = async () => {
      most = Math.max(most, ++flying);
      await sleep(100);
      flying -= 1;
    };
    const { value } = await seen(act, (lite) => Promise.all(Array.from({ length: 25 }, () => list(lite))));
    same([value?.length, most], [25, 10], 'answers, and most at once');
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const checks = new Checks();
  await run(environment(), checks);
  checks.finish(`@xata.io/client ${VERSION} against the stand-in of Lite`);
}
