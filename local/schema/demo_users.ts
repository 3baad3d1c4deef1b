import { connect } from "../postgres/bootstrap.ts";

/** A user that a fresh database gets, to try the API with. */
export interface DemoUser {
  email: string;
  role: string;
  fullName: string;
  workplaces: string[];
}

const lasers = ["TruLaser 5060 (L76)", "TruLaser 3030 (L30)"];

/** One of each role. All have the same password. */
export const demoUsers: DemoUser[] = [
  { email: "readonly@demo.local", role: "readonly", fullName: "Rita Reader", workplaces: lasers },
  { email: "operator@demo.local", role: "operator", fullName: "Olaf Operator", workplaces: lasers },
  { email: "operator.welding@demo.local", role: "operator", fullName: "Wanda Welder", workplaces: ["MIG-1", "TIG-1"] },
  { email: "machine@demo.local", role: "machine", fullName: "Laser gateway", workplaces: ["TruLaser 5060 (L76)"] },
  {
    email: "supervisor@demo.local",
    role: "supervisor",
    fullName: "Sven Supervisor",
    workplaces: [...lasers, "TruBend 5130 (B13)", "TruBend 7036 (B70)"],
  },
  { email: "manager@demo.local", role: "manager", fullName: "Mona Manager", workplaces: ["*"] },
  { email: "admin@demo.local", role: "admin", fullName: "Ada Admin", workplaces: ["*"] },
];

/** Signs the demo users up through the Auth API and gives them roles and workplaces. Existing users do not change. */
export async function createDemoUsers(
  databaseUrl: string,
  password: string,
  signUp: (body: unknown) => Promise<Response>,
): Promise<boolean> {
  const sql = connect(databaseUrl);
  try {
    const [row] = await sql`select to_regclass('public.profiles') is not null as "hasProfiles"`;
    if (!row?.hasProfiles) return false;
    const known = await sql<{ email: string }[]>`
      select email from auth.users where email = any(${demoUsers.map((user) => user.email)})`;
    const missing = demoUsers.filter(({ email }) => !known.some((user) => user.email === email));
    await Promise.all(missing.map(async ({ email }) => {
      const response = await signUp({ email, password });
      if (!response.ok) throw new Error(`Cannot sign up ${email}: ${await response.text()}`);
      await response.body?.cancel();
    }));
    for (const { email, role, fullName, workplaces } of missing) {
      await sql`
        update public.profiles
        set role = ${role}, full_name = ${fullName}, workplace_access = ${workplaces}
        where email = ${email}`;
    }
    return true;
  } finally {
    await sql.end({ timeout: 1 });
  }
}
