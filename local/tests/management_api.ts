/** A model of Supabase's management API, as far as the CLI calls it while it deploys. */
import { join } from "node:path";

/** What the CLI deployed of one function. */
export interface Upload {
  verifyJwt: boolean;
  /** Paths below the checkout -> sizes in bytes. */
  files: Map<string, number>;
}

/** The running model, with what it was sent. */
export interface ManagementApi extends AsyncDisposable {
  /** Variables that make the CLI use it. */
  env: Record<string, string>;
  uploads: Map<string, Upload>;
  secrets: Map<string, string>;
  /** Settings of Auth and of the Data API that were pushed, by their names in the API. */
  settings: Record<string, unknown>;
}

/** Reference of the project of the model. */
export const projectRef = "abcdefghijklmnopqrst";

const project = {
  id: projectRef,
  ref: projectRef,
  name: "plant",
  organization_id: "plant",
  organization_slug: "plant",
  region: "eu-central-1",
  created_at: "2026-01-01T00:00:00Z",
  status: "ACTIVE_HEALTHY",
  database: { host: "localhost", version: "17.4.1", postgres_engine: "17", release_channel: "ga" },
};

/** Settings of a new project. */
const configuration = {
  data: {
    type: "project_config",
    id: projectRef,
    attributes: {
      api: { enabled: true, schemas: ["public", "graphql_public"], extra_search_path: ["public"], max_rows: 1000 },
      auth: { enable_signup: true, site_url: "http://localhost:3000", email: { enable_confirmations: false } },
    },
  },
};

/** Starts the model on a free port. */
export async function startManagementApi(): Promise<ManagementApi> {
  const uploads = new Map<string, Upload>();
  const secrets = new Map<string, string>();
  const settings: Record<string, unknown> = {};

  async function takeFunction(slug: string, request: Request): Promise<Response> {
    const form = await request.formData();
    const { verify_jwt: verifyJwt }: { verify_jwt: boolean } = JSON.parse(String(form.get("metadata")));
    const files = form.getAll("file").flatMap((file): [string, number][] =>
      file instanceof File ? [[file.name, file.size]] : []
    );
    uploads.set(slug, { verifyJwt, files: new Map(files) });
    return Response.json({ id: slug, slug, name: slug, status: "ACTIVE", version: 1 }, { status: 201 });
  }

  async function answer(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const path = `${request.method} ${pathname.replace(`/projects/${projectRef}`, "")}`;
    switch (path) {
      case "GET /v1":
        return Response.json(project);
      case "GET /v1/api-keys":
        return Response.json([{ name: "default", id: "1", type: "publishable", api_key: "sb_publishable_model" }]);
      case "GET /v1/functions":
      case "PUT /v1/functions":
      case "GET /v1/config/database/pooler":
        return Response.json([]);
      case "GET /v1/billing/addons":
        return Response.json({ selected_addons: [], available_addons: [] });
      case "GET /v2/config":
        return Response.json(configuration);
      case "PATCH /v1/postgrest":
      case "PATCH /v1/config/auth": {
        const body = await request.json();
        Object.assign(settings, body);
        return Response.json({
          db_pool: null,
          db_pool_max_idletime: null,
          db_pool_max_lifetime: null,
          db_pool_acquisition_timeout: null,
          ...body,
        });
      }
      case "POST /v1/secrets":
        for (const { name, value } of await request.json()) secrets.set(name, value);
        return new Response(null, { status: 201 });
      case "POST /v1/functions/deploy":
        return await takeFunction(searchParams.get("slug") ?? "", request);
      default:
        return Response.json({ message: `The model has no ${path}` }, { status: 404 });
    }
  }

  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, answer);
  const url = `http://127.0.0.1:${server.addr.port}`;
  const folder = await Deno.makeTempDir({ prefix: "mes-management-" });
  const profile = join(folder, "profile.yaml");
  const names = { name: "test", api_url: url, dashboard_url: url, docs_url: url, project_host: "supabase.co" };
  await Deno.writeTextFile(profile, Object.entries(names).map((setting) => `${setting.join(": ")}\n`).join(""));
  return {
    env: { SUPABASE_PROFILE: profile, SUPABASE_ACCESS_TOKEN: `sbp_${"0".repeat(40)}` },
    uploads,
    secrets,
    settings,
    async [Symbol.asyncDispose]() {
      await server.shutdown();
      await Deno.remove(folder, { recursive: true });
    },
  };
}
