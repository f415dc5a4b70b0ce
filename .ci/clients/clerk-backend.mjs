// @clerk/backend calls the stand-in of Clerk's Backend API (docs/vendors/clerk.md, "Backend API" to "Rate limits").
// Environment: CLERK_API_URL and CLERK_SECRET_KEY, the stand-in's address and key. Each run deletes one user, so the
// stand-in needs some; and it must limit only changes of a user, not the whole API.
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { Checks, holds, same, settings, thrown } from './checks.mjs';
import { through } from './proxy.mjs';

/** The exchanges of a call. The client keeps the `fetch` that it finds when it is loaded. */
const wire = new AsyncLocalStorage();
const { fetch } = globalThis;
globalThis.fetch = async (...given) => {
  const response = await fetch(...given);
  wire.getStore()?.push({ status: response.status, text: await response.clone().text() });
  return response;
};
const { createClerkClient } = await import('@clerk/backend');
const { isClerkAPIResponseError } = await import('@clerk/backend/errors');

const VERSION = '3.25.0';
const API_VERSION = '2026-05-12';
const HEX = /^[0-9a-f]{32}$/;
const METADATA = ['public_metadata', 'private_metadata', 'unsafe_metadata'];
const USER = {
  backup_code_enabled: 'boolean', banned: 'boolean', create_organization_enabled: 'boolean', created_at: 'number',
  delete_self_enabled: 'boolean', email_addresses: 'object', enterprise_accounts: 'object', external_accounts: 'object',
  external_id: '?string', first_name: '?string', has_image: 'boolean', id: 'string', image_url: 'string',
  last_active_at: '?number', last_name: '?string', last_sign_in_at: '?number', legal_accepted_at: '?number',
  locale: '?string', locked: 'boolean', lockout_expires_in_seconds: '?number', mfa_disabled_at: '?number',
  mfa_enabled_at: '?number', object: 'string', passkeys: 'object', password_enabled: 'boolean', phone_numbers: 'object',
  primary_email_address_id: '?string', primary_phone_number_id: '?string', primary_web3_wallet_id: '?string',
  private_metadata: 'object', profile_image_url: 'string', public_metadata: 'object', saml_accounts: 'object',
  totp_enabled: 'boolean', two_factor_enabled: 'boolean', unsafe_metadata: 'object', updated_at: 'number',
  username: '?string', verification_attempts_remaining: '?number', web3_wallets: 'object',
};
const EMAIL = {
  created_at: 'number', email_address: 'string', id: 'string', linked_to: 'object', matches_sso_connection: 'boolean',
  object: 'string', reserved: 'boolean', updated_at: 'number', verification: 'object',
};
const VERIFICATION = { attempts: 'number', expire_at: 'number', object: 'string', status: 'string', strategy: 'string' };

/** Exactly these members, each of its type; `?` stands before the type of one that may be null. */
function shape(value, members, what) {
  same(Object.keys(value).sort(), Object.keys(members).sort(), `members of ${what}`);
  for (const [name, type] of Object.entries(members)) {
    if (value[name] === null && type.startsWith('?')) continue;
    const isIt = typeof value[name] === type.replace('?', '') && value[name] !== null && value[name] !== '';
    holds(isIt, `${what}: ${name} is ${JSON.stringify(value[name])}, not of type ${type}`);
  }
}

function isUser(user, what) {
  shape(user, USER, what);
  for (const name of Object.keys(USER).filter((name) => /(addresses|accounts|numbers|wallets|passkeys)$/.test(name))) {
    holds(Array.isArray(user[name]), `${what}: ${name} is no list`);
  }
  same([user.object, user.image_url, user.last_active_at], ['user', user.profile_image_url, user.created_at], `${what}: object, picture and time`);
  for (const email of user.email_addresses) {
    shape(email, EMAIL, `${what}: e-mail`);
    shape(email.verification, VERIFICATION, `${what}: verification`);
    same([email.object, email.verification.object, email.verification.status], ['email_address', 'verification_otp', 'verified'], what);
    same([email.id, email.created_at, email.linked_to], [user.primary_email_address_id, user.created_at, []], `${what}: e-mail`);
    holds(email.email_address.endsWith('@example.com'), `${what}: the address is ${email.email_address}`);
  }
}

/** The answers that are no users. */
const OTHERS = {
  instance: { object: 'string', id: 'string', environment_type: 'string', allowed_origins: '?object', workspace_id: '?string' },
  total_count: { object: 'string', total_count: 'number' },
  deleted: { object: 'string', id: 'string', deleted: 'boolean' },
  refusal: { errors: 'object', clerk_trace_id: 'string' },
};

/** The same calls, with a check that each response is a 200 or an error of the documented form. The client does not check. */
const checked = (calls) =>
  new Proxy(calls, {
    get: (target, name) => async (...given) => {
      const exchanges = [];
      const [outcome] = await Promise.allSettled([wire.run(exchanges, () => target[name](...given))]);
      for (const { status, text } of exchanges) {
        const body = JSON.parse(text);
        const kind = status === 200 ? ('deleted' in body ? 'deleted' : body.object) : 'refusal';
        if (status === 200) same(Array.isArray(body) || ['user', 'instance', 'total_count'].includes(body.object), true, 'a known object');
        else same(status, outcome.reason?.status, 'status');
        if (kind in OTHERS) shape(body, OTHERS[kind], `answer of ${name}`);
        for (const { meta, ...error } of kind === 'refusal' ? body.errors : []) {
          shape(error, { code: 'string', message: 'string', long_message: 'string' }, 'error');
          same(Object.keys(meta ?? { param_name: '' }), ['param_name'], 'members of meta');
        }
      }
      if (outcome.reason) throw outcome.reason;
      return outcome.value;
    },
  });

/** The client's user has the values of the response. */
function isMadeOf(user, raw) {
  same(user.raw, raw, 'raw');
  same([user.id, user.createdAt, user.updatedAt], [raw.id, raw.created_at, raw.updated_at], 'user');
  same([user.publicMetadata, user.privateMetadata, user.unsafeMetadata], [raw.public_metadata, raw.private_metadata, raw.unsafe_metadata], 'metadata');
  same(user.primaryEmailAddress?.emailAddress, raw.email_addresses[0]?.email_address, 'e-mail');
}

const client = ({ CLERK_API_URL: apiUrl, CLERK_SECRET_KEY: secretKey }) => createClerkClient({ apiUrl, secretKey });

/** A call that must fail with this status and code. */
async function refused(call, status, code, parameter) {
  const error = await thrown(call);
  holds(isClerkAPIResponseError(error), `it threw ${error}`);
  same([error.status, error.errors.map((it) => it.code)], [status, [code]], 'status and codes');
  const [{ message, longMessage, meta }] = error.errors;
  holds(typeof message === 'string' && message && typeof longMessage === 'string' && longMessage, 'a text is missing');
  same(meta?.paramName, parameter, 'parameter');
  holds(HEX.test(error.clerkTraceId), `the trace id is ${error.clerkTraceId}`);
  return error;
}

export const environment = () => settings('CLERK_API_URL', 'CLERK_SECRET_KEY');

/** Users that a run of this process has used, or an earlier one that stopped half-way. */
const taken = new Set();
let known;
async function unusedUser(environment) {
  known ??= allUsers(environment);
  const id = (await known).find((id) => !taken.has(id));
  if (!id) throw new Error('there are not enough users');
  taken.add(id);
  return id;
}

async function allUsers(environment) {
  const { users } = client(environment);
  const ids = [];
  for (let page; !page || page.length === 500; ids.push(...page)) {
    const { data } = await users.getUserList({ limit: 500, orderBy: '+created_at', startingAfter: ids.at(-1) });
    page = data.map(({ id }) => id);
    for (const { id, raw } of data) if (!isDeepStrictEqual(METADATA.map((kind) => raw[kind]), [{}, {}, {}])) taken.add(id);
  }
  return ids;
}

/** `direct` is the environment without the proxy. */
export async function run(environment, checks, { policy = true, direct = environment } = {}) {
  const check = checks.check.bind(checks);
  const id = await unusedUser(direct);
  const absentId = `user_37v${randomBytes(12).toString('hex')}`;
  const { instance, users: plain } = client(environment);
  const users = checked(plain);
  let user;

  await check('the key belongs to one instance', async () => {
    const { id, environmentType, allowedOrigins } = await checked(instance).get();
    holds(/^ins_[0-9A-Za-z]{27}$/.test(id), `the id is ${id}`);
    holds(['development', 'production'].includes(environmentType), `the environment is ${environmentType}`);
    same(allowedOrigins, null, 'origins');
  });
  await check('a user is read by its id', async () => {
    const found = await users.getUser(id);
    user = found.raw;
    isUser(user, 'user');
    isMadeOf(found, user);
    same([user.id, user.private_metadata, user.public_metadata, user.unsafe_metadata], [id, {}, {}, {}], 'user');
    same(user.updated_at - user.created_at, 18, 'from creation to storage');
  });
  await check('a list is filtered by id, and shows what a read shows', async () => {
    const { data, totalCount } = await users.getUserList({ userId: [id, absentId], limit: 500 });
    same([data.length, totalCount], [1, 1], 'how many');
    same(data[0].raw, user, 'listed');
  });
  await check('a cursor continues after the last user of a page', async () => {
    const { data: both } = await users.getUserList({ orderBy: '+created_at', limit: 2 });
    const { data: second } = await users.getUserList({ orderBy: '+created_at', limit: 1, startingAfter: both[0].id });
    same(second.map(({ id }) => id), [both[1].id], 'the second');
    const { data: offset } = await users.getUserList({ orderBy: '+created_at', limit: 1, offset: 1 });
    same(offset.map(({ id }) => id), [both[1].id], 'the second');
    same(both.map(({ createdAt }) => createdAt).toSorted(), both.map(({ createdAt }) => createdAt), 'order');
  });
  await check('a count takes the same filters as a list', async () => {
    same(await users.getCount({ userId: [id, absentId] }), 1, 'count');
    same(await users.getCount({ userId: [absentId] }), 0, 'count');
    const { data } = await users.getUserList({ limit: 1 });
    same([data.length, (await users.getCount()) > 0], [1, true], 'page and count');
  });
  await check('a cursor requires the order of creation, and no offset', async () => {
    const list = (parameters) => () => users.getUserList({ startingAfter: id, ...parameters });
    await refused(list({ orderBy: 'username' }), 422, 'form_param_value_invalid', 'order_by');
    await refused(list({ offset: 1 }), 422, 'form_param_value_invalid', 'offset');
  });
  /** The user with this metadata. */
  const isNow = (changed, metadata) => {
    const { updated_at: updatedAt, ...rest } = changed.raw;
    const { updated_at: before, ...expected } = { ...user, ...metadata };
    isMadeOf(changed, changed.raw);
    same(rest, expected, 'user');
    // In milliseconds, too.
    holds(Number.isInteger(updatedAt) && Math.abs(updatedAt - before) < 10 ** 11, `it was updated at ${updatedAt}`);
    user = changed.raw;
  };
  await check('metadata is merged at every depth with keys unchanged, and the response is the whole user', async () => {
    const database = { name: 'n', region: 'eu-central-1', camelCase: [1, { a: null }] };
    isNow(await users.updateUserMetadata(id, { privateMetadata: { database }, publicMetadata: { plan: 'free' } }), {
      private_metadata: { database },
      public_metadata: { plan: 'free' },
    });
    const merged = { database: { ...database, region: 'us-east-1', status: { ready: true } } };
    const given = { database: { region: 'us-east-1', status: { ready: true } } };
    isNow(await users.updateUserMetadata(id, { privateMetadata: given }), { private_metadata: merged });
    same((await users.getUser(id)).raw, user, 'user');
  });
  await check('null removes a key at any depth', async () => {
    const database = { name: 'n', region: 'us-east-1', status: {} };
    const given = { database: { camelCase: null, status: { ready: null }, nothing: null } };
    isNow(await users.updateUserMetadata(id, { privateMetadata: given, publicMetadata: { plan: null } }), {
      private_metadata: { database },
      public_metadata: {},
    });
  });
  await check('a replacement changes only the kinds of metadata that it names', async () => {
    isNow(await users.replaceUserMetadata(id, { unsafeMetadata: { theme: 'dark' } }), { unsafe_metadata: { theme: 'dark' } });
    isNow(await users.replaceUserMetadata(id, { privateMetadata: {} }), { private_metadata: {} });
  });
  await check('metadata of more than 8 KB is refused', async () => {
    const call = () => users.updateUserMetadata(id, { privateMetadata: { long: 'x'.repeat(8 * 1024) } });
    await refused(call, 422, 'form_param_exceeds_allowed_size', 'private_metadata');
    same((await users.getUser(id)).raw, user, 'user');
  });
  await check('a wrong key is 401', async () => {
    const stranger = checked(client({ ...environment, CLERK_SECRET_KEY: 'sk_test_another_fake_key' }).users);
    for (const call of [() => stranger.getUser(id), () => stranger.getCount(), () => stranger.updateUserMetadata(id, {}), () => stranger.deleteUser(id)]) {
      await refused(call, 401, 'clerk_key_invalid');
    }
  });
  await check('more than 10 changes of a user within 10 s are 429, with a Retry-After', async () => {
    // Seconds may have passed since the first change, so some of these may be in a new window.
    let error;
    for (let n = 0; n < 25 && !error; n++) {
      const changed = await users.updateUserMetadata(id, {}).catch((reason) => void (error = reason));
      if (changed) same(changed.raw.unsafe_metadata, { theme: 'dark' }, 'metadata');
    }
    holds(error, 'it was never limited');
    await refused(() => Promise.reject(error), 429, 'too_many_requests');
    holds(Number.isInteger(error.retryAfter) && error.retryAfter >= 1 && error.retryAfter <= 10, `retryAfter is ${error.retryAfter}`);
    await refused(() => users.replaceUserMetadata(id, {}), 429, 'too_many_requests');
    same((await users.getUser(id)).raw.unsafe_metadata, { theme: 'dark' }, 'metadata');
  });
  await check('a deleted user is 404 from then on', async () => {
    const { object, id: deletedId, deleted, ...rest } = await users.deleteUser(id);
    same([object, deletedId, deleted, Object.values(rest).filter(Boolean)], ['user', id, true, []], 'what is left');
    for (const call of [() => users.getUser(id), () => users.deleteUser(id), () => users.updateUserMetadata(absentId, {}), () => users.replaceUserMetadata(absentId, {})]) {
      await refused(call, 404, 'resource_not_found');
    }
    same(await users.getCount({ userId: [id] }), 0, 'count');
  });
  if (policy) await sdkPolicy(environment, check);
}

/** What the client sends, and how it handles odd responses. */
async function sdkPolicy(environment, check) {
  const absentId = `user_37v${randomBytes(12).toString('hex')}`;
  const seen = (act, call) =>
    through(environment.CLERK_API_URL, act, async (it) => {
      const result = await call(client({ ...environment, CLERK_API_URL: it.url }).users).then((value) => ({ value }), (error) => ({ error }));
      return { ...result, requests: it.requests };
    });
  await check('the client sends the documented headers and path', async () => {
    const { requests: [get, patch] } = await seen(() => undefined, async (users) => {
      await users.getUser(absentId).catch(() => {});
      await users.updateUserMetadata(absentId, { privateMetadata: { someKey: null } }).catch(() => {});
    });
    same([get.method, get.path, get.body], ['GET', `/v1/users/${absentId}`, ''], 'request');
    same([patch.method, patch.path, JSON.parse(patch.body)], ['PATCH', `/v1/users/${absentId}/metadata`, { private_metadata: { someKey: null } }], 'request');
    for (const { headers } of [get, patch]) {
      const { authorization, 'content-type': type, 'clerk-api-version': version, 'user-agent': agent } = headers;
      same([authorization, type, version], [`Bearer ${environment.CLERK_SECRET_KEY}`, 'application/json', API_VERSION], 'headers');
      same(agent, `@clerk/backend@${VERSION}`, 'agent');
    }
  });
  await check('the client retries nothing', async () => {
    for (const act of ['reset', { status: 429, headers: { 'retry-after': '1' } }, { status: 502, headers: { 'content-type': 'text/html' }, body: '<html>' }]) {
      const { error, requests } = await seen(() => act, (users) => users.getUser(absentId));
      same([isClerkAPIResponseError(error), error.status, error.retryAfter, requests.length], [true, act.status, act.status === 429 ? 1 : undefined, 1], 'error');
    }
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const checks = new Checks();
  await run(environment(), checks);
  checks.finish(`@clerk/backend ${VERSION} against the stand-in of the Backend API`);
}
