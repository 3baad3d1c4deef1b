import { join } from "node:path";
import { AuthLimiter, type AuthLimits, noAuthLimits } from "./platform/auth_limits.ts";
import { TokenSigner } from "./data_api/auth_tokens.ts";
import { bootstrap } from "./postgres/bootstrap.ts";
import { loadConfig } from "./platform/config.ts";
import { createDataApi, type DataApi } from "./data_api/data_api.ts";
import { openDataFolder } from "./postgres/data_folder.ts";
import { openDatabase } from "./postgres/database.ts";
import { createDemoUsers } from "./schema/demo_users.ts";
import { edgeDeno } from "./functions/edge_deno.ts";
import { StackFailure } from "./system/failure.ts";
import { freePort } from "./system/free_port.ts";
import { discoverFunctions, FunctionHost } from "./functions/functions.ts";
import { functionEnvironment } from "./functions/functions_env.ts";
import { Gateway } from "./gateway/gateway.ts";
import { loadKeys, type StackKeys } from "./platform/keys.ts";
import { noRateLimits } from "./platform/rate_limits.ts";
import { watchMigrations } from "./schema/migration_watch.ts";
import { applyMigrations, applySeeds } from "./schema/migrations.ts";
import { inProject } from "./system/paths.ts";
import { within } from "./system/poll.ts";
import { dueDispatches, startDispatching } from "./functions/webhook_timer.ts";

/** Options of a stack. */
export interface StackOptions {
  /** Port of the one HTTP address; 0 (the default) = any free one. */
  port?: number;
  /** Folder of keys and database; default `supabase/.temp/data`. */
  dataDir?: string;
  /** Fresh data in a temporary folder, removed at exit, written without fsync; no limits of requests. */
  ephemeral?: boolean;
  /** True (the default) when a fresh database gets `seed.sql` and the demo users. */
  seed?: boolean;
  /** Use this PostgreSQL 17 server instead of the embedded one. */
  externalDatabase?: string;
  /** True (the default) when the stack sends due webhooks, once a second. */
  dispatchWebhooks?: boolean;
  /** Load functions again when their files change. */
  watch?: boolean;
  /** The folder with config.toml, migrations and functions; default the project's own. */
  supabaseDir?: string;
  /** Drop everything that is in the database first. */
  emptyFirst?: boolean;
  /** Limits of sign-in attempts; default those of config.toml, and none for ephemeral data. */
  authLimits?: AuthLimits;
  /** Called at each step. */
  onProgress?: (step: string) => void;
  /** Gets the output of the functions, line by line; default stdout. */
  onFunctionLog?: (line: string) => void;
}

/** A running stack. */
export interface Stack {
  url: string;
  keys: StackKeys;
  /** The database as the owner of all tables. */
  databaseUrl: string;
  /** Folder of its data; undefined with the user's own server. */
  dataDir: string;
  hasDemoUsers: boolean;
  /** Stops and starts the database alone, to see what happens then; embedded only. */
  database: { stop(): Promise<void>; start(): Promise<void> };
  /** Drops everything, migrates and seeds again, while running. */
  reset(): Promise<void>;
  /** Ends everything; data that was ephemeral is gone. */
  stop(): Promise<void>;
}

/** Time limit of requests in flight when the stack stops. */
const finishMs = 5000;
/** Time limit of clients that still read their answers. */
const readMs = 1000;

const passwordCost = "LITE_AUTH_BCRYPT_COST";

/** Ends the started parts, the last one first. */
class Cleanup {
  #steps: (() => Promise<void>)[] = [];
  add(step: () => Promise<void>): void {
    this.#steps.push(step);
  }
  async run(): Promise<void> {
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      await step().catch((error) => console.error(`While stopping: ${error}`));
    }
  }
}

/** Starts database, Data API, Auth API and functions behind one address. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const cleanup = new Cleanup();
  try {
    return await start(options, cleanup);
  } catch (error) {
    await cleanup.run();
    throw error;
  }
}

async function start(options: StackOptions, cleanup: Cleanup): Promise<Stack> {
  const step = options.onProgress ?? (() => {});
  const supabaseDir = options.supabaseDir ?? inProject("supabase");
  const config = await loadConfig(join(supabaseDir, "config.toml"));
  const gateway = new Gateway();
  const { url, close } = listen(options.port ?? 0, gateway);
  cleanup.add(close);

  // The Auth library reads the cost of a password's hash from the environment. Users that are gone in a minute need not
  // take 70 ms each.
  if (options.ephemeral && !Deno.env.get(passwordCost)) Deno.env.set(passwordCost, "4");

  const folder = await openDataFolder(options);
  cleanup.add(() => folder.release());
  await folder.announce(url);
  const keys = await loadKeys(folder.keysFile);

  step("PostgreSQL 17");
  const database = await openDatabase(folder, keys, {
    external: options.externalDatabase,
    durable: !options.ephemeral,
    port: options.port ? options.port + 1 : freePort(),
  });
  cleanup.add(() => database.close());

  await edgeDeno(step);
  const signer = new TokenSigner(keys.jwtSecret, `${url}/auth/v1`);
  const functions = new FunctionHost({
    discover: () => discoverFunctions(supabaseDir, config),
    env: await functionEnvironment(
      url,
      keys,
      database.access.owner,
      join(supabaseDir, "functions", ".env"),
      options.ephemeral ? { RATE_LIMITS: noRateLimits } : {},
    ),
    log: options.onFunctionLog ?? ((line) => console.log(line)),
  });
  cleanup.add(() => functions.close());
  // They need no database to be imported: meanwhile the tables are made.
  const functionsReady = functions.load();
  functionsReady.catch(() => {});

  const authLimiter = new AuthLimiter(options.authLimits ?? (options.ephemeral ? noAuthLimits : config.authLimits));
  let dataApi: DataApi | undefined;
  cleanup.add(async () => {
    await dataApi?.close();
  });
  let hasDemoUsers = false;
  const migrationsFolder = join(supabaseDir, "migrations");
  const migrate = async () => {
    const { applied, edited } = await applyMigrations(database.access.owner, migrationsFolder);
    if (applied.length > 0) step(`Migrations applied: ${applied.join(", ")}`);
    if (edited.length > 0) {
      step(
        `Edited after the database had them: ${edited.join(", ")}. ` +
          "`deno task reset` makes the database anew from the files; it drops all data.",
      );
    }
  };
  const prepare = async () => {
    step("Roles and schemas");
    await bootstrap(database.access, database.isExternal ? undefined : keys.databasePassword);
    const isFresh = await database.isFresh();
    step("Migrations");
    await migrate();
    const seed = options.seed ?? true;
    if (isFresh && seed) {
      step("Demo plant");
      await applySeeds(database.access.owner, config.seedFiles.map((file) => join(supabaseDir, file)));
    }
    step("Data API and Auth API");
    dataApi = await createDataApi(database.access, config, keys, signer);
    if (seed) {
      const api = dataApi;
      hasDemoUsers = await createDemoUsers(database.access.owner, keys.demoPassword, (body) =>
        api.fetch(
          new Request(`${url}/auth/v1/signup`, {
            method: "POST",
            headers: { apikey: keys.publishableKey, "content-type": "application/json" },
            body: JSON.stringify(body),
          }),
        ));
    }
    step("Functions");
    await functionsReady;
    gateway.open({
      dataApi,
      functions,
      signer,
      authLimiter,
      secretKey: keys.secretKey,
      publishableKey: keys.publishableKey,
      demoPassword: hasDemoUsers ? keys.demoPassword : undefined,
    });
  };
  const makeAnew = async () => {
    gateway.open(undefined);
    await dataApi?.close();
    await database.drop();
    await prepare();
  };
  let resetting = Promise.resolve();
  const reset = () => resetting = resetting.catch(() => {}).then(makeAnew);
  await (options.emptyFirst ? reset() : prepare());
  gateway.allowReset(keys.secretKey, reset);
  cleanup.add(async () => {
    await functions.announceEnd();
    await gateway.finish(finishMs);
    gateway.open(undefined);
  });
  if (options.dispatchWebhooks ?? true) {
    const { isDue, close } = dueDispatches(database.access.owner);
    cleanup.add(close);
    cleanup.add(startDispatching({ isDue, url, secretKey: keys.secretKey }));
  }
  if (options.watch) {
    await functions.watch([join(supabaseDir, "functions"), inProject("import_map.json"), inProject("docs")]);
    const hasMigrations = await Deno.stat(migrationsFolder).then(() => true, () => false);
    if (hasMigrations) cleanup.add(watchMigrations(migrationsFolder, migrate, step));
  }

  return {
    url,
    keys,
    databaseUrl: database.access.owner,
    dataDir: folder.path,
    get hasDemoUsers() {
      return hasDemoUsers;
    },
    database: database.server,
    reset,
    stop: () => cleanup.run(),
  };
}

function listen(port: number, gateway: Gateway) {
  try {
    const closing = new AbortController();
    const server = Deno.serve(
      { hostname: "127.0.0.1", port, onListen: () => {}, signal: closing.signal },
      (request, info) => gateway.answer(request, info.remoteAddr),
    );
    const close = async () => {
      if (await within(readMs, server.shutdown().then(() => true))) return;
      closing.abort();
      await within(readMs, server.finished);
    };
    return { close, url: `http://127.0.0.1:${server.addr.port}` };
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) {
      throw new StackFailure(
        `Port ${port} is in use by another program: stop that one, or choose another port with --port (0 = any free one).`,
      );
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new StackFailure(`This account may not listen on port ${port}: choose one above 1023 with --port.`);
    }
    throw error;
  }
}
