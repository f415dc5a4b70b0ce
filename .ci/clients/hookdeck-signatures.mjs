// @hookdeck/sdk verifies what `cargo dev` signs, and the function verifies what the SDK accepts
// (docs/vendors/hookdeck.md, "Signature" and "Delivery headers").
// Environment: DEV, the binary; FUNCTION_URL, where `cargo dev` serves the function.
import { execFile } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import helpers from '@hookdeck/sdk/webhooks/helpers.js';
import { Checks, holds, same, settings, thrown } from './checks.mjs';
import { through } from './proxy.mjs';

const { HOOKDECK_HEADERS, verifyWebhookSignature } = helpers;
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SECRET = 'local-development-secret';
const HEADER = 'x-hookdeck-signature';
const HEADER_2 = 'x-hookdeck-signature-2';
const { DEV, FUNCTION_URL } = settings('DEV', 'FUNCTION_URL');

/** Base64 of HMAC-SHA256 over the raw bytes, keyed with the text of the secret. */
const sign = (body, secret = SECRET) => createHmac('sha256', secret).update(body).digest('base64');

/** `true`, `false`, or the name of the error that the SDK raises. */
async function sdk(headers, rawBody, { secret = SECRET, ...config } = {}) {
  try {
    return (await verifyWebhookSignature({ headers, rawBody, signingSecret: secret, config })).isValidSignature;
  } catch (error) {
    return error.name;
  }
}

/** The function's response: the HTTP status, and the `status` of the body. */
function post(headers, body, path = '/') {
  const { hostname, port } = new URL(FUNCTION_URL);
  const bytes = Buffer.from(body);
  return new Promise((resolve, reject) => {
    const options = { hostname, port, path, method: 'POST', headers: { ...headers, 'content-length': bytes.length }, agent: false, timeout: 60_000 };
    const request = http.request(options, async (response) => {
      let text = '';
      for await (const chunk of response.setEncoding('utf8')) text += chunk;
      resolve({ status: response.statusCode, what: JSON.parse(text).status, text });
    });
    request.on('timeout', () => request.destroy(new Error('the function does not answer')));
    request.on('error', reject);
    request.end(bytes);
  });
}

const UNAUTHORIZED = [401, 'unauthorized'];
const user = (id, more = {}) => JSON.stringify({ data: { id, object: 'user', ...more }, object: 'event', timestamp: Date.now(), type: 'user.created' });
const checks = new Checks();
const check = checks.check.bind(checks);

// `cargo dev` signs, the SDK verifies.

const events = (await readdir(join(ROOT, 'events'))).filter((name) => name.endsWith('.json') && name !== 'local-env.json').sort();
await check('events/ has the file with the wrong signature, and others', async () => {
  holds(events.includes('wrong-signature.json') && events.length > 4, `it has ${events}`);
});
for (const name of events) {
  const expected = name !== 'wrong-signature.json';
  await check(`the SDK ${expected ? 'accepts' : 'refuses'} the signature of events/${name}`, async () => {
    const event = JSON.parse(await readFile(join(ROOT, 'events', name)));
    const body = Buffer.from(event.body, event.isBase64Encoded ? 'base64' : 'utf8').toString();
    same(await sdk(event.headers, body), expected, 'isValidSignature');
    same(await sdk(event.headers, body, { checkSourceVerification: true }), expected, 'with checkSourceVerification');
    same(await sdk(event.headers, `${body} `), false, 'with a blank more');
    if (event.isBase64Encoded) same(await sdk(event.headers, event.body), false, 'of the base64 text');
  });
}

const ODD_BODIES = {
  'one byte': '0',
  'white space only': ' \r\n\t ',
  'white space around JSON': ' \n{ "type" :\t"session.created" }\r\n\n',
  'letters of all lengths': '{"type":"x","data":{"name":"Zoë 李 🦀 \u0000 \u2028 ﬀ é"}}',
  'an escaped surrogate': '{"type":"x","data":"\\ud83e\\udd80"}',
  '4 KB': user(`user_2ab${randomBytes(12).toString('hex')}`, { name: 'x'.repeat(4096) }),
  '200 KB': JSON.stringify({ type: 'x', data: 'ü'.repeat(100_000) }),
  'not JSON': '{"type":"user.created"',
};
const SECRETS = { 'the development secret': SECRET, 'a secret with blanks inside': 'a b  c', 'a secret that is not ASCII': 'geheim-ß-🔑', 'one that looks like base64': 'whsec_AAECAwQFBgcICQ==' };
const directory = await mkdtemp(join(tmpdir(), 'hookdeck-signatures-'));
/** The delivery that `cargo dev send` makes of these bytes. */
async function sent(body, secret, ...more) {
  const file = join(directory, 'event');
  await writeFile(file, body);
  return through(undefined, () => ({ status: 200, headers: {}, body: '{}' }), async ({ url, requests }) => {
    const environment = { PATH: process.env.PATH, HOOKDECK_WEBHOOK_SECRET: secret };
    await promisify(execFile)(DEV, ['send', file, '--to', url, ...more], { env: environment, cwd: directory, timeout: 30_000 });
    same(requests.length, 1, 'deliveries');
    return requests[0];
  });
}
for (const [what, body] of Object.entries(ODD_BODIES)) {
  await check(`the SDK accepts what \`cargo dev send\` signs: ${what}`, async () => {
    const delivery = await sent(body, SECRET);
    same(delivery.body, body, 'the bytes');
    same(await sdk(delivery.headers, delivery.body, { checkSourceVerification: true }), true, 'isValidSignature');
    same(await sdk(delivery.headers, delivery.body, { secret: `${SECRET}x` }), false, 'with another secret');
  });
}
for (const [what, secret] of Object.entries(SECRETS)) {
  await check(`the SDK accepts what \`cargo dev send\` signs with ${what}`, async () => {
    const delivery = await sent(ODD_BODIES['letters of all lengths'], secret);
    same(await sdk(delivery.headers, delivery.body, { secret }), true, 'isValidSignature');
  });
}
await check('`cargo dev send` sends the headers that Hookdeck sends, on every attempt', async () => {
  for (const [attempt, trigger] of [['1', 'INITIAL'], ['3', 'AUTOMATIC']]) {
    const { headers } = await sent('{"type":"x"}', SECRET, '--attempt', attempt);
    holds(/^evt_[0-9A-Za-z]+$/.test(headers['x-hookdeck-eventid']), `the event id is ${headers['x-hookdeck-eventid']}`);
    same([headers['x-hookdeck-attempt-count'], headers['x-hookdeck-attempt-trigger']], [attempt, trigger], 'attempt');
  }
  const names = { SIGNATURE: HEADER, SECONDARY_SIGNATURE: HEADER_2, VERIFIED_FLAG: 'x-hookdeck-verified' };
  same(HOOKDECK_HEADERS, names, "the SDK's names");
});
await rm(directory, { recursive: true });

await check('the SDK does with every vector what tests/vectors/hookdeck-signature.json says', async () => {
  const { vectors } = JSON.parse(await readFile(join(ROOT, 'tests/vectors/hookdeck-signature.json')));
  const outcome = (result) => ({ true: 'valid', false: 'invalid' })[result] ?? `error:${result}`;
  let count = 0;
  for (const { name, body_base64, secret, headers, check_source_verification: checkSourceVerification, sdk: says } of vectors) {
    if (says.lower_case_header_names === 'not_applicable') continue;
    const body = Buffer.from(body_base64, 'base64').toString();
    const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    same(outcome(await sdk(headers, body, { secret, checkSourceVerification })), says.verbatim_header_names, name);
    same(outcome(await sdk(lower, body, { secret, checkSourceVerification })), says.lower_case_header_names, `${name}, lower case`);
    count += 1;
  }
  same(count, 47, 'vectors');
});

// The SDK accepts, the function verifies.

/** The SDK accepts it, and so does the function: its response is not 401. */
async function bothAccept(headers, body, expected) {
  same(await sdk(headers, body), true, 'the SDK');
  const { status, what } = await post(headers, body);
  same([status, what], expected, 'the function');
}
/** The SDK does not accept it, and the function answers 401. */
async function bothRefuse(headers, body, sdkSays = false) {
  same(await sdk(headers, body), sdkSays, 'the SDK');
  const { status, what } = await post(headers, body);
  same([status, what], UNAUTHORIZED, 'the function');
}

const ACCEPTED = {
  'an empty body': ['', [400, 'invalid']],
  'one byte': [ODD_BODIES['one byte'], [400, 'invalid']],
  'white space only': [ODD_BODIES['white space only'], [400, 'invalid']],
  'white space around JSON': [ODD_BODIES['white space around JSON'], [200, 'ignored']],
  'letters of all lengths': ['{"type":"Zoë 李 🦀 \u2028 ﬀ","data":"\\ud83e\\udd80"}', [200, 'ignored']],
  'a control character, which JSON forbids': [ODD_BODIES['letters of all lengths'], [400, 'invalid']],
  'not JSON': [ODD_BODIES['not JSON'], [400, 'invalid']],
  '200 KB': [ODD_BODIES['200 KB'], [200, 'ignored']],
  "a sign-up of 4 KB, of a user whom Clerk's stand-in does not have": [ODD_BODIES['4 KB'], [500, 'misconfigured']],
};
for (const [what, [body, expected]] of Object.entries(ACCEPTED)) {
  await check(`both accept ${what}; the function answers ${expected.join(' ')}`, async () => {
    await bothAccept({ [HEADER]: sign(body) }, body, expected);
  });
}
const ignored = [200, 'ignored'];
const body = '{"type":"session.created","data":{"name":"Zoë 李 🦀"}}';
const good = sign(body);
await check('during a rotation, both accept the second header, and the first alone', async () => {
  const other = sign(body, 'the-new-secret');
  await bothAccept({ [HEADER]: other, [HEADER_2]: good }, body, ignored);
  await bothAccept({ [HEADER]: good, [HEADER_2]: other }, body, ignored);
  await bothAccept({ [HEADER]: good, [HEADER_2]: '' }, body, ignored);
});
await check('during a rotation, both refuse when neither header has the secret, and the second header alone', async () => {
  await bothRefuse({ [HEADER]: sign(body, 'the-new-secret'), [HEADER_2]: sign(body, 'the-old-secret') }, body);
  await bothRefuse({ [HEADER_2]: good }, body, 'HookdeckWebhookVerificationParameterError');
  await bothRefuse({}, body, 'HookdeckWebhookVerificationParameterError');
  await bothRefuse({ [HEADER]: '', [HEADER_2]: good }, body, 'HookdeckWebhookVerificationParameterError');
});
await check('both refuse a body of which one thing changed', async () => {
  for (const [what, text] of Object.entries({ ...ODD_BODIES, ours: body })) {
    const signature = sign(text);
    const changed = [`${text} `, text.slice(1), text.replace(/.$/su, '~'), `\ufeff${text}`, text.normalize('NFD') === text ? `${text}\n` : text.normalize('NFD')];
    for (const body of changed) {
      same([what, await sdk({ [HEADER]: signature }, body)], [what, false], 'the SDK');
      same([what, (await post({ [HEADER]: signature }, body)).status], [what, 401], 'the function');
    }
  }
});
await check('both refuse a signature that is written in another way', async () => {
  const raw = createHmac('sha256', SECRET).update(body).digest();
  const ways = {
    hex: raw.toString('hex'),
    'without padding': good.replace(/=+$/, ''),
    'half of it': good.slice(0, 22),
    'lower case': good.toLowerCase(),
    'a letter more': `A${good}`,
    'a scheme': `sha256=${good}`,
    'twice, comma': `${good},${good}`,
    'twice, blank': `${good} ${good}`,
    'SHA-1': createHmac('sha1', SECRET).update(body).digest('base64'),
    "of the body's base64": sign(Buffer.from(body).toString('base64')),
    'of the re-serialised body': sign(JSON.stringify(JSON.parse(body), null, 1)),
    'with a secret in base64': createHmac('sha256', Buffer.from(SECRET, 'base64')).update(body).digest('base64'),
  };
  for (const [way, signature] of Object.entries(ways)) {
    same([way, await sdk({ [HEADER]: signature }, body)], [way, false], 'the SDK');
    same([way, (await post({ [HEADER]: signature }, body)).status], [way, 401], 'the function');
  }
  // base64url differs only where the signature has + or /.
  const n = Array.from({ length: 64 }, (_, n) => n).find((n) => /[+/]/.test(sign(`${n}`)));
  await bothRefuse({ [HEADER]: sign(`${n}`).replaceAll('+', '-').replaceAll('/', '_') }, `${n}`);
});
await check('every refusal is the same bytes', async () => {
  const texts = [await post({}, body), await post({ [HEADER]: 'x' }, body), await post({ [HEADER]: sign('other') }, body)];
  same(new Set(texts.map(({ text }) => text)).size, 1, 'different texts');
});
await check('the function accepts header names of any case; the SDK requires lower case', async () => {
  for (const header of ['X-Hookdeck-Signature', 'X-HOOKDECK-SIGNATURE']) {
    same(await sdk({ [header]: good }, body), 'HookdeckWebhookVerificationParameterError', 'the SDK');
    same((await post({ [header]: good }, body)).status, 200, 'the function');
  }
});
await check('HTTP strips blanks around a signature before the function reads it; the SDK compares text', async () => {
  const padded = { [HEADER]: `  ${good}\t ` };
  same(await sdk(padded, body), false, 'the SDK');
  same((await post(padded, body)).status, 200, 'the function');
});
await check('the function verifies bytes that are no text; the SDK takes text only', async () => {
  const bytes = Buffer.from([0xff, 0xfe, 0x00, 0x7b]);
  same(await sdk({ [HEADER]: sign(bytes) }, bytes.toString()), false, 'the SDK');
  const { status, what } = await post({ [HEADER]: sign(bytes) }, bytes);
  same([status, what], [400, 'invalid'], 'the function');
});
await check('an empty secret is an error of the SDK', async () => {
  const error = await thrown(() => verifyWebhookSignature({ headers: { [HEADER]: good }, rawBody: body, signingSecret: '' }));
  same(error.name, 'DataError');
});
checks.finish('@hookdeck/sdk 0.4.0 and our signatures');
