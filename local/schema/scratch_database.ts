import { bootstrap } from "../postgres/bootstrap.ts";
import { openDataFolder } from "../postgres/data_folder.ts";
import { openDatabase } from "../postgres/database.ts";
import { freePort } from "../system/free_port.ts";
import { loadKeys } from "../platform/keys.ts";

/** An empty database as Supabase hands one out. */
export interface ScratchDatabase extends AsyncDisposable {
  /** Address with the login of the owner. */
  url: string;
}

/** Starts a server of its own with an empty database, in a temporary folder that is removed with it. */
export async function openScratchDatabase(): Promise<ScratchDatabase> {
  const folder = await openDataFolder({ ephemeral: true });
  try {
    const keys = await loadKeys(folder.keysFile);
    const database = await openDatabase(folder, keys, { external: undefined, durable: false, port: freePort() });
    await bootstrap(database.access, keys.databasePassword);
    return {
      url: database.access.owner,
      async [Symbol.asyncDispose]() {
        await database.close();
        await folder.release();
      },
    };
  } catch (error) {
    await folder.release();
    throw error;
  }
}
