/** The addresses of one database, by what they are used for. */
export interface DatabaseAccess {
  /** Prepares roles and schemas, reads the catalog. */
  admin: string;
  /** Runs migrations and seeds; the one that is shown to the user. */
  owner: string;
  /** The Auth service's own role. */
  auth: string;
  /** The Data API's login role, which becomes the caller's role for each request. */
  api: string;
}

/** The login roles of an embedded database. */
export const embeddedRoles = ["postgres", "supabase_auth_admin", "authenticator"];

/** Addresses of an embedded server. */
export function embeddedAccess(port: number, password: string, superuser: string): DatabaseAccess {
  const address = (role: string) => `postgresql://${role}:${password}@127.0.0.1:${port}/postgres`;
  return {
    admin: address(superuser),
    owner: address("postgres"),
    auth: address("supabase_auth_admin"),
    api: address("authenticator"),
  };
}

/** A server that the user named: all work uses its one login, and no password changes. */
export function externalAccess(url: string): DatabaseAccess {
  return { admin: url, owner: url, auth: url, api: url };
}
