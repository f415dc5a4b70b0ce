import { createClerkClient } from '@clerk/backend';

declare global {
  interface UserPrivateMetadata {
    database?: { id: string; name: string; project: string; region: string; status: string };
  }
}

/** The keys, and the addresses of the APIs. The defaults are the services' own. */
export interface Access {
  clerkSecretKey: string;
  clerkApiUrl?: string; // without /v1
  xataApiKey: string;
  xataApiUrl?: string;
  xataOrganizationId: string;
  xataProjectIds: string[]; // those in XATA_PROJECT_ID
}

/**
 * The connection string of a user's database. `undefined` means "not yet": ask again in a few seconds.
 *
 * It contains the database's password: keep it on the server, and out of logs.
 */
export async function connectionString(access: Access, userId: string): Promise<string | undefined> {
  const clerk = createClerkClient({ secretKey: access.clerkSecretKey, apiUrl: access.clerkApiUrl });
  let database: { id: string; project: string } | undefined =
    (await clerk.users.getUser(userId)).privateMetadata.database;

  const xata = access.xataApiUrl ?? 'https://api.xata.tech';
  const projects = `${xata}/organizations/${access.xataOrganizationId}/projects`;
  const headers = { Authorization: `Bearer ${access.xataApiKey}` };
  const read = async (url: string) => {
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(10_000) });
    if (response.status === 404) return undefined;
    if (!response.ok) throw new Error(`Xata answered ${response.status}`);
    return response.json();
  };
  if (!database) {
    // The entry is missing: look for the name, which is the user id. This reads whole lists.
    for (const project of access.xataProjectIds) {
      const { branches } = (await read(`${projects}/${project}/branches`)) ?? { branches: [] };
      const found = branches.find((branch: { name: string }) => branch.name === userId);
      if (found) {
        database = { id: found.id, project };
        break;
      }
    }
  }
  if (!database) return undefined;

  const branch = `${projects}/${database.project}/branches/${database.id}`;
  const credentials = await read(`${branch}/credentials?username=xata`);
  if (!credentials) return undefined;
  // Older versions of Xata return it with the branch, and null means "not yet" there.
  const found = credentials.connectionString ?? (await read(branch))?.connectionString ?? undefined;
  // The database requires TLS, and not every version of Xata says so in the string.
  return found && `${found.split('?')[0]}?sslmode=require`;
}
