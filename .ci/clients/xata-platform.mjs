// @xata.io/api calls the stand-in of the Xata platform (docs/vendors/xata.md).
// Environment: what `cargo dev standins --env` prints.
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Checks, holds, same, settings, sleep, thrown } from './checks.mjs';
import { gaps, through } from './proxy.mjs';
import { ApiError, isRetryableError, NetworkError, retryDelayMs, Schemas, XataApi } from './xata-api.mjs';

const VERSION = '0.1.10';
const READY_WITHIN = 15_000;
/** How long the stand-in takes to make a branch ready, or to rotate a password. */
const READY_AFTER = 2_000;
const PROJECT_ID = /^prj_[0-9a-v]{26}$/;
const BRANCH_ID = /^[a-v][0-9a-v]{25}$/;
const REQUEST_ID = /^req_[0-9a-v]{26}$/;
const UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
const NO_SUCH_PROJECT = 'prj_0123456789abcdefghijklmnop';
const NO_SUCH_BRANCH = 'a0123456789abcdefghijklmno';
const OFF = { enabled: false, inactivityPeriodMinutes: 30 };
const ON = { enabled: true, inactivityPeriodMinutes: 5 };
const HEALTHY = 'Cluster in healthy state';
/** Name, thousandths of a CPU, GB of memory (docs/vendors/xata.md, "Regions, instance types and images"). */
const INSTANCE_TYPES = [
  ['micro', 250, 1], ['small', 500, 2], ['medium', 1000, 4], ['large', 2000, 8],
  ['xlarge', 4000, 16], ['2xlarge', 8000, 32], ['4xlarge', 16000, 64], ['8xlarge', 32000, 128],
];

/** A client that records its exchanges. */
function client(baseUrl, token, options = {}) {
  const exchanges = [];
  const xata = new XataApi({
    baseUrl,
    token,
    ...options,
    fetch: async (url, init) => {
      const response = await fetch(url, options.init?.(init) ?? init);
      exchanges.push({ url, init, status: response.status, headers: response.headers, text: await response.clone().text() });
      return response;
    },
  });
  const { projects, branches } = xata.api;
  return { projects, branches, exchanges, last: () => exchanges.at(-1) };
}

/** The value matches the vendor's schema strictly: an unknown member fails, too. */
function fits(schemaName, value) {
  const schema = Schemas[schemaName];
  holds(schema, `the SDK has no ${schemaName}`);
  const { success, data, error } = schema.safeParse(value);
  if (!success) {
    const issues = error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    throw new Error(`not what ${schemaName} allows: ${issues.join('; ')}`);
  }
  same(value, data, schemaName);
}

/** Makes a call whose response must have `status` and match the vendor's schema of that status. */
async function answer(xata, operation, params, status) {
  const [tag, name] = operation.split('.');
  const value = await xata[tag][name](params);
  same(xata.last().status, status, `status of ${name}`);
  if (status === 204) same(xata.last().text, '', `body of ${name}`);
  else fits(`${name}Status${status}Schema`, value);
  return value;
}

/** Makes a call that must fail with `status`. `message` is the whole text, or a pattern. */
async function refused(xata, operation, params, status, message) {
  const [tag, name] = operation.split('.');
  const error = await thrown(() => xata[tag][name](params));
  holds(error instanceof ApiError, `${name} threw ${error}`);
  same(error.status, status, `status of ${name}`);
  fits(`${name}Status${status}Schema` in Schemas ? `${name}Status${status}Schema` : 'genericErrorSchema', error.body);
  const asked = params?.headers?.['X-Request-ID'];
  if (asked) same([error.requestId, error.body.id], [asked, asked], 'request id');
  else {
    holds(REQUEST_ID.test(error.requestId), `the request id is ${error.requestId}`);
    same('id' in error.body, false, 'an id in the body of an error when none was sent');
  }
  const text = error.body.message;
  if (message instanceof RegExp) holds(message.test(text), `the message is ${JSON.stringify(text)}, not like ${message}`);
  else same(text, message, 'message');
  same(error.message, `${text} (request id: ${error.requestId})`, 'message of the SDK');
  same(error.retryAfterMs, undefined, 'Retry-After');
  return error;
}

const isUtc = (text) => holds(UTC.test(text) && !Number.isNaN(Date.parse(text)), `${text} is not RFC 3339 in UTC`);

export const environment = () =>
  settings('XATA_API_URL', 'XATA_API_KEY', 'XATA_ORGANIZATION_ID', 'XATA_PROJECT_ID', 'XATA_TEMPLATES');

export async function run(environment, checks, { retries = true } = {}) {
  const { XATA_API_URL: url, XATA_API_KEY: key, XATA_ORGANIZATION_ID: organizationID } = environment;
  const theProject = environment.XATA_PROJECT_ID;
  const templates = environment.XATA_TEMPLATES.split(',').map((pair) => pair.split('='));
  const check = checks.check.bind(checks);
  const xata = client(url, key);
  const suffix = randomBytes(6).toString('hex');
  const inOrg = { pathParams: { organizationID } };
  const inProject = (projectID) => ({ pathParams: { organizationID, projectID } });
  const inBranch = (projectID, branchID) => ({ pathParams: { organizationID, projectID, branchID } });
  const does = (operation, params, status) => answer(xata, operation, params, status);
  const refuses = (...given) => refused(xata, ...given);

  await check('the regions are those of the templates and the four known ones, with the five members that the SDK requires', async () => {
    const { regions } = await does('projects.listRegions', inOrg, 200);
    const ids = regions.map(({ id }) => id);
    same([...ids].sort(), [...new Set(['us-east-1', 'us-west-2', 'eu-central-1', 'us-central1', ...templates.map(([region]) => region)])].sort(), 'ids');
    for (const { id, ...rest } of regions) {
      const provider = id === 'us-central1' ? 'gcp' : 'aws';
      same(rest, { publicAccess: true, backupsEnabled: true, organizationId: null, provider }, id);
    }
  });
  await check('instance types have the documented names, sizes and doubling prices', async () => {
    for (const [region, surcharge] of [['us-east-1', 1], ['eu-central-1', 1.15]]) {
      const { instanceTypes } = await does('projects.listInstanceTypes', { ...inOrg, queryParams: { region } }, 200);
      same(instanceTypes.map(({ name, vcpus, ram }) => [name, vcpus, ram]), INSTANCE_TYPES.map(([name, ...size]) => [`xata.${name}`, ...size]), region);
      instanceTypes.forEach((type, n) => {
        const rate = 0.012 * 2 ** n * surcharge;
        holds(Math.abs(type.hourlyRate - rate) < 1e-9, `${type.name} costs ${type.hourlyRate}, not ${rate}`);
        same([type.storageMonthlyRate, type.region], [0.28, ''], type.name);
      });
    }
  });
  for (const operation of ['listInstanceTypes', 'listImages']) {
    await check(`${operation} without a region, or with an unknown one, is 400`, async () => {
      await refuses(`projects.${operation}`, inOrg, 400, /Invalid format for parameter region/);
      const params = { ...inOrg, queryParams: { region: 'mars-1' } };
      await refuses(`projects.${operation}`, params, 400, 'invalid parameter [region]: invalid region: region mars-1 is not found');
    });
  }
  await check('an image is named after its full version', async () => {
    const { images } = await does('projects.listImages', { ...inOrg, queryParams: { region: 'us-east-1' } }, 200);
    for (const { name, majorVersion, fullVersion } of images) {
      same([name, majorVersion], [`postgres:${fullVersion}`, fullVersion.split('.')[0]], fullVersion);
      holds(/^1[4-8]\.\d+$/.test(fullVersion), `version ${fullVersion}`);
    }
    holds(images.some(({ name }) => name === 'postgres:17.10'), 'postgres:17.10 is missing');
  });
  await check('the limits of organization and project agree, and have the members that the SDK requires', async () => {
    const ofOrg = await does('projects.getOrganizationLimits', inOrg, 200);
    const { maxProjects, maxProjectsPerHour, maxBranchesPerOrg, ...shared } = ofOrg;
    same(await does('projects.getProjectLimits', inProject(theProject), 200), shared, 'limits of the project');
    const { minInstancesPerBranch, maxInstancesPerBranch, maxDescriptionLength, maxAllowedInstanceType } = shared;
    same([minInstancesPerBranch, maxInstancesPerBranch, maxDescriptionLength, maxAllowedInstanceType], [1, 5, 50, 32_000], 'limits');
    holds(maxBranchesPerOrg >= shared.maxBranchesPerProject && maxProjects >= maxProjectsPerHour, 'a part is larger than the whole');
  });
  await check('`projects/limits` is the fixed response, not a project', async () => {
    const expected = { maxInstances: 5, minInstances: 1, maxDescriptionLength: 50, maxBranches: 100 };
    same(await does('projects.getDefaultProjectLimits', inOrg, 200), expected);
  });

  const name = `clients-${suffix}`;
  let project;
  await check('creating a project answers 201 with both scale-to-zero settings off', async () => {
    project = await does('projects.createProject', { ...inOrg, body: { name } }, 201);
    holds(PROJECT_ID.test(project.id), `the id is ${project.id}`);
    same(project.name, name, 'name');
    same(project.configuration, { scaleToZero: { baseBranches: OFF, childBranches: OFF } }, 'configuration');
    same(project.createdAt, project.updatedAt, 'time');
    isUtc(project.createdAt);
  });
  await check('a new project is listed and can be read, with the same members each time', async () => {
    const { projects } = await does('projects.listProjects', inOrg, 200);
    same(projects.find(({ id }) => id === project.id), project, 'listed');
    same(projects.find(({ id }) => id === theProject)?.id, theProject, 'the project of the settings');
    same(await does('projects.getProject', inProject(project.id), 200), project, 'read');
  });
  await check('a project name is unique, case-sensitive, and not empty', async () => {
    await refuses('projects.createProject', { ...inOrg, body: { name } }, 409, `project [${name}] already exists`);
    await refuses('projects.createProject', { ...inOrg, body: { name: '' } }, 400, 'invalid project name []');
    const other = await does('projects.createProject', { ...inOrg, body: { name: name.toUpperCase() } }, 201);
    await refuses('projects.updateProject', { ...inProject(other.id), body: { name } }, 409, `project [${name}] already exists`);
    await does('projects.deleteProject', inProject(other.id), 204);
  });
  await check('a patch changes the name or the configuration, and leaves the rest', async () => {
    const scaleToZero = { baseBranches: OFF, childBranches: ON };
    const patched = await does('projects.updateProject', { ...inProject(project.id), body: { configuration: { scaleToZero } } }, 200);
    same(patched, { ...project, configuration: { scaleToZero }, updatedAt: patched.updatedAt }, 'patched');
    holds(patched.updatedAt >= project.updatedAt, 'updatedAt went back');
    const renamed = await does('projects.updateProject', { ...inProject(project.id), body: { name: `${name}-2` } }, 200);
    same(renamed, { ...patched, name: `${name}-2`, updatedAt: renamed.updatedAt }, 'renamed');
    same(await does('projects.getProject', inProject(project.id), 200), renamed, 'read');
    project = renamed;
  });
  await check('an unknown project is 404 to every call', async () => {
    const message = `project [${NO_SUCH_PROJECT}] not found`;
    const unknown = inProject(NO_SUCH_PROJECT);
    for (const call of ['projects.getProject', 'projects.deleteProject', 'projects.getProjectLimits', 'branches.listBranches']) {
      await refuses(call, unknown, 404, message);
    }
    await refuses('projects.updateProject', { ...unknown, body: { name: 'x' } }, 404, message);
    await refuses('branches.createBranch', { ...unknown, body: custom('x') }, 404, message);
    await refuses('branches.describeBranch', inBranch(NO_SUCH_PROJECT, NO_SUCH_BRANCH), 404, message);
  });

  function custom(name, more = {}, configuration = {}) {
    const image = 'postgres:17.10';
    return {
      name,
      mode: 'custom',
      configuration: { region: 'eu-central-1', image, instanceType: 'xata.micro', replicas: 0, ...configuration },
      ...more,
    };
  }
  const create = (body) => does('branches.createBranch', { ...inProject(project.id), body }, 201);
  const refusesToCreate = (body, ...expected) => refuses('branches.createBranch', { ...inProject(project.id), body }, ...expected);
  const describe = (id) => does('branches.describeBranch', inBranch(project.id, id), 200);
  const list = async (projectID) => (await does('branches.listBranches', inProject(projectID), 200)).branches;
  const rootName = `Root_${suffix}`;
  const childName = `user_2abcDEFghiJKLmnoPQRstu${suffix}`;
  let root, child;

  await check('the templates of the settings are root branches in their regions', async () => {
    const branches = await list(theProject);
    for (const [region, id] of templates) {
      const { name, createdAt, updatedAt, ...rest } = branches.find((branch) => branch.id === id) ?? {};
      same(rest, { id, parentID: null, region, publicAccess: true, backupsEnabled: true }, region);
    }
  });
  await check('a create from a configuration is 201 with the short form, without a connection string', async () => {
    root = await create(custom(rootName, { description: 'Root 1', scaleToZero: OFF }));
    const { id, createdAt: created, updatedAt, ...rest } = root;
    holds(BRANCH_ID.test(id), `the id is ${id}`);
    isUtc(created);
    same(updatedAt, created, 'time');
    const expected = { name: rootName, description: 'Root 1', parentID: null, connectionString: null, region: 'eu-central-1', publicAccess: true };
    same(rest, expected, 'branch');
  });
  await check('a create from a parent takes the region of the parent, and scale to zero from the project', async () => {
    child = await create({ name: childName, mode: 'inherit', parentID: root.id });
    const { id, createdAt, updatedAt, ...rest } = child;
    holds(BRANCH_ID.test(id) && id !== root.id, `the id is ${id}`);
    isUtc(createdAt);
    holds(updatedAt === createdAt && createdAt >= root.createdAt, 'it is older than its parent');
    same(rest, { name: childName, parentID: root.id, connectionString: null, region: 'eu-central-1', publicAccess: true }, 'branch');
  });
  await check('both are listed, and nothing else', async () => {
    const listed = (await list(project.id)).sort((one, other) => (one.id === root.id ? -1 : 1));
    const shown = ({ connectionString, ...rest }) => ({ ...rest, backupsEnabled: true });
    same(listed, [root, child].map(shown), 'list');
  });
  /** Checks a state that ends when the branch is ready. Repeats the check where the machine was too slow for it. */
  const inTime = async (start, look, undo = () => {}) => {
    for (let n = 0; ; n++) {
      const since = performance.now();
      const started = await start();
      try {
        return await look(started);
      } catch (error) {
        if (performance.now() - since < READY_AFTER || n === 4) throw error;
      } finally {
        await undo(started);
      }
    }
  };
  const another = async () => {
    const { id } = await create(custom(`Early_${randomBytes(6).toString('hex')}`));
    return id;
  };
  const remove = (id) => does('branches.deleteBranch', inBranch(project.id, id), 204);
  await check('right after creation a branch is hibernated without instances, or transient', async () => {
    const look = async (id) => {
      const error = await thrown(async () => {
        const { status } = await describe(id);
        same(status.statusType, 'STATUS_TYPE_TRANSIENT', 'statusType');
        throw new Error('transient');
      });
      if (error.message === 'transient') return;
      // The SDK's schema requires one instance; the service returns none (docs/vendors/xata.md, "Describing a branch").
      const { status } = JSON.parse(xata.last().text);
      const none = { status: HEALTHY, statusType: 'STATUS_TYPE_HIBERNATED', message: HEALTHY, instanceCount: 0, instanceReadyCount: 0, instances: [] };
      same(status, none, 'status');
      holds(/^not what .*: status\.instanceCount: [^;]*$/.test(error.message), error.message);
    };
    await inTime(another, look, remove);
  });
  await check('a branch has no credentials until it is ready', async () => {
    const look = async (id) => {
      const message = `Credentials for username [xata] on branch [${id}]: not found`;
      await refuses('branches.getBranchCredentials', { ...inBranch(project.id, id), queryParams: { username: 'xata' } }, 404, message);
    };
    await inTime(another, look, remove);
  });
  await check('a branch name is unique in its project in every mode, and case-sensitive', async () => {
    await refusesToCreate(custom(childName), 409, `branch [${childName}] already exists`);
    await refusesToCreate({ name: childName, mode: 'inherit', parentID: root.id }, 409, `branch [${childName}] already exists`);
    const other = await create(custom(childName.toLowerCase()));
    same(other.name, childName.toLowerCase(), 'name');
    await does('branches.deleteBranch', inBranch(project.id, other.id), 204);
  });
  await check('of five concurrent creates of one name, one is 201 and the others are 409', async () => {
    const body = custom(`At-once_${suffix}`);
    const made = await Promise.allSettled(Array.from({ length: 5 }, () => xata.branches.createBranch({ ...inProject(project.id), body })));
    const statuses = made.map(({ value, reason }) => (value ? 201 : reason.status));
    same(statuses.sort(), [201, 409, 409, 409, 409], 'statuses');
    const { value } = made.find(({ status }) => status === 'fulfilled');
    await does('branches.deleteBranch', inBranch(project.id, value.id), 204);
  });
  await check('an impossible create is refused with its reason', async () => {
    const anyName = `Bad_${suffix}`;
    await refusesToCreate(custom(''), 400, 'invalid parameter [name]: branch name is required');
    await refusesToCreate({ name: anyName, mode: 'clone' }, 400, /unknown discriminator value/);
    await refusesToCreate({ name: anyName, mode: 'inherit', parentID: NO_SUCH_BRANCH }, 404, new RegExp(`\\[${NO_SUCH_BRANCH}\\]: not found`));
    const [, template] = templates[0];
    await refusesToCreate({ name: anyName, mode: 'inherit', parentID: template }, 404, new RegExp(`\\[${template}\\]: not found`));
    await refusesToCreate(custom(anyName, {}, { region: 'mars-1' }), 400, 'invalid parameter [region]: invalid region: region mars-1 is not found');
    await refusesToCreate(custom(anyName, {}, { image: 'postgres:9.6' }), 400, new RegExp(`^Branch \\[${anyName}\\]:`));
    await refusesToCreate(custom(anyName, {}, { instanceType: 'xata.nano' }), 400, /^\[instanceType\]/);
    await refusesToCreate(custom(anyName, {}, { replicas: 5 }), 400, /replicas/);
    await refusesToCreate(custom(anyName, { description: 'user_2abc' }), 400, /invalid branch description/);
    await refusesToCreate(custom(anyName, { description: 'x'.repeat(51) }), 400, 'max length is 50');
    await refusesToCreate(custom(anyName, { scaleToZero: { enabled: true, inactivityPeriodMinutes: 1441 } }), 400, /scaleToZero/);
  });

  const healthy = async (id) => {
    const until = performance.now() + READY_WITHIN;
    for (;;) {
      // Not checked with the SDK's schema, which does not match a branch without an instance.
      const { status } = await xata.branches.describeBranch(inBranch(project.id, id));
      if (status.statusType === 'STATUS_TYPE_HEALTHY') return describe(id);
      holds(performance.now() < until, `not healthy after ${READY_WITHIN} ms: ${JSON.stringify(status)}`);
      await sleep(50);
    }
  };
  let credentials;
  const credentialsOf = (id, username = 'xata') =>
    does('branches.getBranchCredentials', { ...inBranch(project.id, id), queryParams: { username } }, 200);
  const described = ({ connectionString, ...short }, { description, configuration, scaleToZero }) => ({
    ...short,
    backupsEnabled: true,
    status: { status: HEALTHY, statusType: 'STATUS_TYPE_HEALTHY', message: HEALTHY, instanceCount: 1, instanceReadyCount: 1 },
    scaleToZero,
    configuration: {
      region: '', image: 'postgres:17.10', instanceType: 'xata.micro', replicas: 0, storage: 250,
      postgresConfigurationParameters: {}, preloadLibraries: [], ...configuration,
    },
  });
  const isDescribedAs = (branch, expected) => {
    const { connectionString, status: { instances, ...status }, ...rest } = branch;
    same({ ...rest, status }, expected, 'described');
    same(instances.map(({ primary, targetPrimary }) => [primary, targetPrimary]), [[true, true]], 'instances');
    holds(new RegExp(`^postgresql://xata:[0-9A-Za-z]{64}@${branch.id}[^/]*/xata\\?sslmode=require$`).test(connectionString), 'the connection string differs');
  };
  await check('a ready branch is described completely: status, configuration, connection', async () => {
    isDescribedAs(await healthy(root.id), described(root, { scaleToZero: OFF }));
    isDescribedAs(await healthy(child.id), described(child, { scaleToZero: ON }));
  });
  await check('a ready branch has credentials, with everything that a client needs to connect', async () => {
    credentials = await credentialsOf(root.id);
    const { username, password, hostname, port, dbname, connectionString } = credentials;
    same([username, port, dbname], ['xata', 5432, 'xata'], 'constants');
    holds(/^[0-9A-Za-z]{64}$/.test(password), 'the password is not 64 alphanumerics');
    holds(hostname.startsWith(`${root.id}.`) && hostname.includes('.eu-central-1.'), `the host is ${hostname}`);
    // The SDK documents that the connection string of the credentials has no sslmode.
    same(connectionString, `postgresql://xata:${password}@${hostname}/xata`, 'connectionString');
    holds((await credentialsOf(child.id)).password !== password, 'two branches have one password');
    same(await does('branches.getBranchCredentials', inBranch(project.id, root.id), 200), credentials, 'without a user name');
  });
  await check('only the user xata has credentials', async () => {
    const params = { ...inBranch(project.id, root.id), queryParams: { username: 'postgres' } };
    await refuses('branches.getBranchCredentials', params, 400, 'only the xata user credentials can be retrieved');
  });
  await check('after a rotation (204) the credentials are 404 and another rotation is 500, until the new password is ready', async () => {
    const params = { ...inBranch(project.id, root.id), body: { username: 'xata' } };
    const rotate = () => does('branches.rotateBranchCredentials', params, 204);
    const message = `Credentials for username [xata] on branch [${root.id}]: not found`;
    await inTime(rotate, async () => {
      await refuses('branches.getBranchCredentials', inBranch(project.id, root.id), 404, message);
      await refuses('branches.rotateBranchCredentials', params, 500, /^Internal Error \(Request ID: req_[0-9a-v]{26}\)$/);
    });
    for (const until = performance.now() + READY_WITHIN; ; await sleep(50)) {
      try {
        holds((await credentialsOf(root.id)).password !== credentials.password, 'the password is the old one');
        return;
      } catch (error) {
        if (error.status !== 404 || performance.now() > until) throw error;
      }
    }
  });
  await check('a patch answers with the short form, and changes only what it names', async () => {
    const patch = (body) => does('branches.updateBranch', { ...inBranch(project.id, child.id), body }, 200);
    const newName = `Parked_${suffix}`;
    const patched = await patch({ name: newName, description: 'Parked', scaleToZero: OFF });
    const { connectionString, updatedAt, ...rest } = patched;
    const { connectionString: none, updatedAt: before, ...created } = child;
    same(rest, { ...created, name: newName, description: 'Parked' }, 'patched');
    holds(updatedAt > before, 'updatedAt did not move');
    const now = await describe(child.id);
    isDescribedAs(now, described(patched, { scaleToZero: OFF }));
    same(now.connectionString, connectionString, 'connectionString');
    await refuses('branches.updateBranch', { ...inBranch(project.id, child.id), body: { name: rootName } }, 409, `branch [${rootName}] already exists`);
    const again = await create({ name: childName, mode: 'inherit', parentID: root.id });
    await does('branches.deleteBranch', inBranch(project.id, again.id), 204);
    child = patched;
  });
  await check('a patch hibernates a branch and wakes it', async () => {
    const hibernate = (hibernate) => does('branches.updateBranch', { ...inBranch(project.id, child.id), body: { hibernate } }, 200);
    await hibernate(true);
    const { status } = await xata.branches.describeBranch(inBranch(project.id, child.id));
    same([status.statusType, status.instanceCount], ['STATUS_TYPE_HIBERNATED', 0], 'status');
    await hibernate(false);
    same((await healthy(child.id)).status.instanceReadyCount, 1, 'instances');
  });
  await check('a project with a branch cannot be deleted', async () => {
    const message = `project ${project.id} is not empty. Please delete its branches first.`;
    await refuses('projects.deleteProject', inProject(project.id), 400, message);
  });
  await check('the child of a deleted parent stays, and keeps its parentID', async () => {
    await does('branches.deleteBranch', inBranch(project.id, root.id), 204);
    same((await list(project.id)).map(({ id, parentID }) => [id, parentID]), [[child.id, root.id]], 'list');
  });
  await check('a deleted branch is 404 to a second deletion and to every other call', async () => {
    await does('branches.deleteBranch', inBranch(project.id, child.id), 204);
    const message = `branch [${child.id}] not found`;
    for (const call of ['deleteBranch', 'describeBranch', 'getBranchCredentials']) {
      await refuses(`branches.${call}`, inBranch(project.id, child.id), 404, message);
    }
    await refuses('branches.updateBranch', { ...inBranch(project.id, child.id), body: { hibernate: true } }, 404, message);
    const body = { username: 'xata' };
    await refuses('branches.rotateBranchCredentials', { ...inBranch(project.id, child.id), body }, 404, message);
  });
  await check('the name of a deleted branch is free at once', async () => {
    const again = await create(custom(childName));
    holds(again.id !== child.id, 'the id came back');
    await does('branches.deleteBranch', inBranch(project.id, again.id), 204);
  });
  await check('the deletion of an empty project is 204, each time; afterwards the project is 404 and its name is free', async () => {
    await does('projects.deleteProject', inProject(project.id), 204);
    await does('projects.deleteProject', inProject(project.id), 204);
    await refuses('projects.getProject', inProject(project.id), 404, `project [${project.id}] not found`);
    const { projects } = await does('projects.listProjects', inOrg, 200);
    same(projects.some(({ id }) => id === project.id), false, 'listed');
    const again = await does('projects.createProject', { ...inOrg, body: { name: project.name } }, 201);
    await does('projects.deleteProject', inProject(again.id), 204);
  });

  await check('a wrong key or none is 401 on every path', async () => {
    for (const params of [inOrg, { pathParams: { organizationID: 'zzzzzz' } }]) {
      await refused(client(url, 'xau_wrong'), 'projects.listProjects', params, 401, 'invalid token');
    }
    const keyless = client(url, key, { init: ({ headers: { Authorization, ...headers }, ...init }) => ({ ...init, headers }) });
    await refused(keyless, 'projects.listProjects', inOrg, 401, 'no token found');
    same((await thrown(() => client(url, null).projects.listProjects(inOrg))).message, 'No token provided', 'the SDK without a key');
  });
  await check('another organization is 403', async () => {
    const params = { pathParams: { organizationID: 'zzzzzz', projectID: theProject } };
    await refuses('projects.listRegions', params, 403, 'access denied');
    await refuses('branches.createBranch', { ...params, body: custom('x') }, 403, 'access denied');
  });
  await check("the response has the request's id in the header, and in the body of an error", async () => {
    const headers = { 'X-Request-ID': `clients-${suffix}` };
    await refuses('projects.getProject', { ...inProject(NO_SUCH_PROJECT), headers }, 404, `project [${NO_SUCH_PROJECT}] not found`);
    await does('projects.getProject', { ...inProject(theProject), headers }, 200);
    same(xata.last().headers.get('x-request-id'), headers['X-Request-ID'], 'header');
  });
  await check('the SDK sends the documented headers, and no timeout', async () => {
    await does('projects.getProject', inProject(theProject), 200);
    const { headers, signal } = xata.last().init;
    const expected = { 'Content-Type': 'application/json', Authorization: `Bearer ${key}`, 'X-Xata-Agent': `client=@xata.io/api; version=${VERSION}` };
    same(headers, expected, 'headers');
    same(signal, undefined, 'a timeout of its own');
  });
  if (retries) await retryPolicy(environment, check);
}

/** The retries of the SDK (docs/vendors/xata.md, "The vendor's SDK"). */
async function retryPolicy(environment, check) {
  const { XATA_API_URL: url, XATA_API_KEY: key, XATA_ORGANIZATION_ID: organizationID, XATA_PROJECT_ID: projectID } = environment;
  const at = { pathParams: { organizationID, projectID } };
  const failing = (status, headers = {}) => ({ status, headers: { 'content-type': 'application/json', ...headers }, body: '{"message":"no"}' });
  /** Makes a call through a proxy that does `act`; returns the result, and the requests that the proxy received. */
  const seen = (act, call) =>
    through(url, act, async (it) => {
      const result = await call(client(it.url, key)).then((value) => ({ value }), (error) => ({ error }));
      return { ...result, requests: it.requests, gaps: gaps(it) };
    });
  const get = (xata) => xata.projects.getProject(at);
  const suffix = randomBytes(6).toString('hex');
  const body = { name: `Retried_${suffix}`, mode: 'inherit', parentID: environment.XATA_TEMPLATES.split(',')[0].split('=')[1] };
  const post = (xata) => xata.branches.createBranch({ ...at, body });
  const named = async () => (await client(url, key).branches.listBranches(at)).branches.filter(({ name }) => name === body.name);
  const within = (value, low, high, what) => holds(value >= low && value <= high, `${what}: ${value} ms, not ${low} to ${high}`);
  // On a busy machine the time between two requests has no upper bound; the last check tests the waits that the SDK computes.
  const atLeast = (value, low, what) => holds(value >= low, `${what}: ${Math.round(value)} ms, not ${low}`);

  await check('a GET that is answered 503 is sent three times, after at least 150 and 300 ms', async () => {
    const { value, requests, gaps } = await seen((_, n) => (n < 2 ? failing(503) : undefined), get);
    same([value?.id, requests.length], [projectID, 3], 'result');
    atLeast(gaps[0], 145, 'first wait');
    atLeast(gaps[1], 295, 'second wait');
  });
  await check('the response to the third attempt is final', async () => {
    const { error, requests } = await seen(() => failing(503), get);
    same([error?.status, requests.length], [503, 3], 'result');
  });
  await check('the SDK retries 408 429 500 502 503 504, and no other error', async () => {
    const tries = async (status) => (await seen(() => failing(status, { 'retry-after': '0' }), get)).requests.length;
    for (const status of [408, 429, 500, 502, 503, 504]) same(await tries(status), 3, `attempts after ${status}`);
    for (const status of [400, 401, 403, 404, 409, 412, 415, 501]) same(await tries(status), 1, `attempts after ${status}`);
  });
  await check('a GET whose connection breaks is sent three times', async () => {
    const { value, requests } = await seen((_, n) => (n < 2 ? 'reset' : undefined), get);
    same([value?.id, requests.length], [projectID, 3], 'result');
    const { error, requests: all } = await seen(() => 'reset', get);
    holds(error instanceof NetworkError, `it threw ${error}`);
    same(all.length, 3, 'attempts');
  });
  await check('a POST is never retried', async () => {
    for (const status of [408, 429, 500, 502, 503, 504]) {
      const { error, requests } = await seen(() => failing(status, { 'retry-after': '0' }), post);
      same([error?.status, requests.length], [status, 1], `after ${status}`);
    }
    const { error, requests } = await seen(() => 'reset', post);
    holds(error instanceof NetworkError, `it threw ${error}`);
    same([requests.length, await named()], [1, []], 'after a broken connection');
  });
  await check('a PATCH is never retried', async () => {
    const patch = (xata) => xata.projects.updateProject({ ...at, body: { name: 'never' } });
    const { error, requests } = await seen(() => failing(503, { 'retry-after': '0' }), patch);
    same([error?.status, requests.length], [503, 1], 'result');
  });
  await check('a POST whose response is lost has created the branch: the list has its name, and a repeat is 409', async () => {
    const { error, requests } = await seen(() => 'lose', post);
    holds(error instanceof NetworkError, `it threw ${error}`);
    same([requests.length, (await named()).length], [1, 1], 'requests and branches');
    await refused(client(url, key), 'branches.createBranch', { ...at, body }, 409, `branch [${body.name}] already exists`);
  });
  await check('a DELETE whose response is lost is retried, and ends in 404', async () => {
    const [{ id: branchID }] = await named();
    const remove = (xata) => xata.branches.deleteBranch({ pathParams: { ...at.pathParams, branchID } });
    const { error, requests } = await seen((_, n) => (n === 0 ? 'lose' : undefined), remove);
    same([error?.status, requests.length, await named()], [404, 2, []], 'result');
  });
  await check('the SDK honours Retry-After, in seconds and as a date', async () => {
    const { value, gaps } = await seen((_, n) => (n === 0 ? failing(503, { 'retry-after': '1' }) : undefined), get);
    same(value?.id, projectID, 'result');
    atLeast(gaps[0], 995, 'one second');
    // A date has whole seconds: three seconds ahead is between two and three.
    const date = new Date(Date.now() + 3000).toUTCString();
    const { gaps: [wait] } = await seen((_, n) => (n === 0 ? failing(503, { 'retry-after': date }) : undefined), get);
    atLeast(wait, 1500, 'until the date');
  });
  await check('the SDK honours Retry-After up to 30 seconds; other waits are 150 to 300 ms, 300 to 600, and so on to 5 seconds', async () => {
    const { error } = await seen(() => failing(400, { 'retry-after': '3600' }), get);
    same([error.retryAfterMs, retryDelayMs(0, error)], [3_600_000, 30_000], 'an hour');
    const reset = new NetworkError('reset');
    for (let n = 0; n < 8; n++) within(retryDelayMs(n, reset), Math.min(5000, 300 * 2 ** n) / 2, Math.min(5000, 300 * 2 ** n), `wait ${n}`);
    same([isRetryableError(reset), isRetryableError(error)], [true, false], 'is retryable');
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const checks = new Checks();
  await run(environment(), checks);
  checks.finish(`@xata.io/api ${VERSION} against the stand-in of the platform`);
}
