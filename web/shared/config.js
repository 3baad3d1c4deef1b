/**
 * Where the API is: `config.json` beside the pages names the project, so that the same files serve any of them.
 *
 * @module
 */

/**
 * @typedef {object} Config
 * @property {string} functions_url URL of the functions, such as https://<project>.supabase.co/functions/v1
 * @property {string} auth_url URL of Supabase Auth, such as https://<project>.supabase.co/auth/v1
 * @property {string} publishable_key The key that browsers may have.
 * @property {string} [demo_users_url] Where the demo users of the local stack are.
 */

/** @type {Promise<Config> | undefined} */
let loading;

/**
 * Returns the settings, read once. Addresses may be relative to the page; here they are absolute.
 *
 * @returns {Promise<Config>}
 */
export function config() {
  loading ??= read().catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

/** @returns {Promise<Config>} */
async function read() {
  const answer = await fetch("config.json", { cache: "no-cache" });
  if (!answer.ok) throw new Error(`config.json: ${answer.status}`);
  const { functions_url, auth_url, publishable_key, demo_users_url } = await answer.json();
  const absolute = (/** @type {string} */ url) => new URL(url, location.href).href.replace(/\/+$/, "");
  return { functions_url: absolute(functions_url), auth_url: absolute(auth_url), publishable_key, demo_users_url };
}
