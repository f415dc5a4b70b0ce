// Checks the types of docs/connect/connect.ts, the snippet for applications, and runs it against the stand-ins.
// Environment: what `cargo dev standins --env` prints, and CLERK_API_URL and CLERK_SECRET_KEY. One of the users must have
// no metadata; the run leaves the users as they were.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { createClerkClient } from '@clerk/backend';
import { build } from 'esbuild';
import { Checks, holds, same, settings, sleep, thrown } from './checks.mjs';
import { through } from './proxy.mjs';
import { XataApi } from './xata-api.mjs';

const READY_WITHIN = 15_000;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const environment = settings(
  'CLERK_API_URL', 'CLERK_SECRET_KEY', 'XATA_API_URL', 'XATA_API_KEY', 'XATA_ORGANIZATION_ID', 'XATA_PROJECT_ID',
);
const access = {
  clerkSecretKey: environment.CLERK_SECRET_KEY,
  clerkApiUrl: environment.CLERK_API_URL.replace(/\/v1\/?$/, ''),
  xataApiKey: environment.XATA_API_KEY,
  xataApiUrl: environment.XATA_API_URL,
  xataOrganizationId: environment.XATA_ORGANIZATION_ID,
  xataProjectIds: environment.XATA_PROJECT_ID.split(','),
};
const { users } = createClerkClient({ secretKey: access.clerkSecretKey, apiUrl: access.clerkApiUrl });
const { branches } = new XataApi({ baseUrl: access.xataApiUrl, token: access.xataApiKey }).api;

const { outputFiles } = await build({
  entryPoints: [here('../../docs/connect/connect.ts')],
  nodePaths: [here('node_modules')],
  bundle: true,
  platform: 'node',
  format: 'esm',
  write: false,
  logLevel: 'error',
});
const source = Buffer.from(outputFiles[0].contents).toString('base64');
const { connectionString } = await import(`data:text/javascript;base64,${source}`);

const checks = new Checks();
const check = checks.check.bind(checks);

await check("the snippet's types agree with those of @clerk/backend", () => {
  try {
    execFileSync(process.execPath, [here('node_modules/typescript/bin/tsc'), '--project', here('tsconfig.json')]);
  } catch (error) {
    throw new Error(error.stdout?.toString() || error.message);
  }
});

const { data } = await users.getUserList({ limit: 500 });
const { id: userId } = data.find(({ privateMetadata }) => Object.keys(privateMetadata).length === 0) ?? {};
const projectPath = { organizationID: access.xataOrganizationId, projectID: environment.XATA_PROJECT_ID };
const created = await branches.createBranch({
  pathParams: projectPath,
  body: {
    name: `${userId}_${randomBytes(6).toString('hex')}`,
    mode: 'custom',
    configuration: { region: 'eu-central-1', image: 'postgresql:17', instanceType: 'xata.micro', replicas: 0 },
  },
});
const pathParams = { ...projectPath, branchID: created.id };
const database = { id: created.id, name: userId, project: projectPath.projectID, region: 'eu-central-1', status: 'created' };

try {
  await check('without an entry at Clerk and a database of the name, the snippet returns "not yet"', async () => {
    same(await connectionString(access, userId), undefined);
  });
  await check('without credentials at Xata, it returns "not yet"', async () => {
    await users.updateUserMetadata(userId, { privateMetadata: { database } });
    same(await connectionString(access, userId), undefined);
  });
  let found;
  await check('asked again, it finds the database of the user', async () => {
    for (const until = performance.now() + READY_WITHIN; !found && performance.now() < until; await sleep(100)) {
      found = await connectionString(access, userId);
    }
    const { username, password, hostname, dbname } = await branches.getBranchCredentials({ pathParams });
    same(found, `postgresql://${username}:${password}@${hostname}/${dbname}?sslmode=require`);
  });
  await check('without an entry at Clerk, it finds the database by its name', async () => {
    const rename = (name) => branches.updateBranch({ pathParams, body: { name } });
    await users.updateUserMetadata(userId, { privateMetadata: { database: null } });
    await rename(userId);
    same(await connectionString(access, userId), found);
    await rename(created.name);
    await users.updateUserMetadata(userId, { privateMetadata: { database } });
  });
  await check('it finds the database in an older version of Xata, which returns the connection string with the branch', async () => {
    const older = (answer) => {
      const { username, password } = JSON.parse(answer.body);
      return { ...answer, body: JSON.stringify({ username, password }) };
    };
    const act = ({ path }) => (path.includes('/credentials') ? older : undefined);
    await through(access.xataApiUrl, act, async ({ url }) => {
      same(await connectionString({ ...access, xataApiUrl: url }, userId), found);
    });
  });
  await check('in an older version of Xata, a branch without a connection string is "not yet"', async () => {
    const act = ({ path }) => (answer) => {
      const { connectionString, hostname, port, dbname, ...rest } = JSON.parse(answer.body);
      const left = path.includes('/credentials') ? rest : { ...rest, connectionString: null };
      return { ...answer, body: JSON.stringify(left) };
    };
    await through(access.xataApiUrl, act, async ({ url }) => {
      same(await connectionString({ ...access, xataApiUrl: url }, userId), undefined);
    });
  });
  await check('a refused key is an error without the key in its text', async () => {
    for (const wrong of [{ clerkSecretKey: 'sk_test_refused_key' }, { xataApiKey: 'xau_refused_key' }]) {
      const error = await thrown(() => connectionString({ ...access, ...wrong }, userId));
      const text = `${error.stack} ${JSON.stringify(error)}`;
      holds((error.status === 401 || text.includes('401')) && !text.includes('refused_key'), text);
    }
  });
} finally {
  await users.updateUserMetadata(userId, { privateMetadata: { database: null } });
  await branches.deleteBranch({ pathParams });
}
checks.finish('docs/connect/connect.ts against the stand-ins');
