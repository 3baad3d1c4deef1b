/** The landing page: what is here, demo users to try it with, and what happens now. */
import { get } from "../shared/api.js";
import { config } from "../shared/config.js";
import { number, time } from "../shared/formats.js";
import { t } from "../shared/messages.js";
import { startPage } from "../shared/page.js";
import { SignIn } from "../shared/sign_in.js";
import { StateIcon, toneOfStatus } from "../shared/state.js";
import { html, useEffect, useState } from "../shared/view.js";

const pages = ["board", "terminal", "shift", "plan"];

/** The list shows this many of them at most; more are "or more". */
const countLimit = 500;

/** @type {readonly { key: string, tone: import("../shared/state.js").Tone, query: Record<string, string | boolean> }[]} */
const counts = [
  ...["IN_PROGRESS", "RELEASED", "ON_HOLD"].map((status) => ({
    key: status,
    tone: toneOfStatus[status] ?? "off",
    query: { status },
  })),
  { key: "late", tone: "stop", query: { is_overdue: true } },
];

/** @param {{ me: any }} props */
function Landing({ me }) {
  return html`
    <div class="landing">
      <header class="stack">
        <h1>${t("index.title")}</h1>
        <p class="lead">${t("index.lead")}</p>
      </header>
      ${me ? html`<${Now} key=${me.id} />` : html`<${SignIn} />`}
      <section aria-labelledby="pages">
        <h2 id="pages">${t("index.pages")}</h2>
        <ul class="cards">
          ${pages.map((name) =>
            html`
              <li key=${name}>
                <a class="card" href=${`${name}.html`}>
                  <span class="for">${t(`index.${name}_for`)}</span>
                  <strong>${t(`shared.page_${name}`)}</strong>
                  <span>${t(`index.${name}_what`)}</span>
                </a>
              </li>
            `
          )}
        </ul>
      </section>
      <div class="halves">
        <section class="card stack">
          <h2>${t("index.moves")}</h2>
          <p>${t("index.moves_what")}</p>
          <p><code>npx -y deno@2.9.6 task start --simulate</code></p>
        </section>
        <${Developers} />
      </div>
    </div>
  `;
}

/** Counts of operations, read again now and then. */
function Now() {
  const [found, setFound] = useState(/** @type {{ at: number, values: Record<string, number> } | null} */ (null));
  useEffect(() => {
    const ending = new AbortController();
    const read = async () => {
      const values = await Promise.all(counts.map(async ({ key, query }) => {
        const rows = await get("/operations/v1", { ...query, limit: countLimit }, { signal: ending.signal });
        return /** @type {const} */ ([key, rows.length]);
      }));
      setFound({ at: Date.now(), values: Object.fromEntries(values) });
    };
    // the old counts stay with their time
    const again = () => void read().catch(() => {});
    again();
    const timer = setInterval(again, 15_000);
    return () => {
      clearInterval(timer);
      ending.abort();
    };
  }, []);
  return html`
    <section class="stack" aria-labelledby="now">
      <h2 id="now">${t("index.now")}</h2>
      <dl class="counts">
        ${counts.map(({ key, tone }) =>
          html`
            <div key=${key} class=${`card tone-${tone}`}>
              <dt><${StateIcon} tone=${tone} />${t(`index.count_${key}`)}</dt>
              <dd class="numbers">${written(found?.values[key])}</dd>
            </div>
          `
        )}
      </dl>
      <p class="soft small">${found && t("index.count_as_of", { time: time(found.at) })}</p>
    </section>
  `;
}

/** @param {number | undefined} count */
function written(count) {
  if (count === undefined) return "–";
  return count < countLimit ? number(count) : t("index.count_more", { count });
}

/** Where the documentation is, and the key that every request of a browser carries. */
function Developers() {
  const [settings, setSettings] = useState(/** @type {import("../shared/config.js").Config | null} */ (null));
  useEffect(() => void config().then(setSettings), []);
  const docs = `${settings?.functions_url}/docs`;
  return html`
    <section class="card stack">
      <h2>${t("index.developers")}</h2>
      <p>${t("index.developers_what")}</p>
      ${settings && html`
        <ul class="links">
          <li><a href=${docs}>${t("index.docs_swagger")}</a></li>
          <li><a href=${`${docs}/redoc`}>${t("index.docs_redoc")}</a></li>
          <li><a href=${`${docs}/openapi.json`}>${t("index.docs_openapi")}</a></li>
        </ul>
        <p class="soft small">${t("index.key")} <code>${settings.publishable_key}</code></p>
      `}
    </section>
  `;
}

await startPage({ name: "index", view: Landing, isOpen: true });
