/**
 * The head of a page: the other pages, who is signed in, network, language and colours.
 *
 * @module
 */
import { chooseLanguage, language, languages, t } from "./messages.js";
import { isOnline } from "./network.js";
import { session, signOut } from "./session.js";
import { State } from "./state.js";
import { chooseTheme, theme, themes } from "./theme.js";
import { html, useState, useValue } from "./view.js";

/** @typedef {"index" | "board" | "terminal" | "shift" | "plan" | "consent"} PageName */

/** @type {readonly Exclude<PageName, "index" | "consent">[]} */
const pages = ["board", "terminal", "shift", "plan"];

/**
 * @param {{ page: PageName, me: any, onSignOut?: () => void }} props `me` is the profile of the signed-in user, null when
 *   unknown. `onSignOut` asks first, for a page with work that is not sent.
 */
export function Header({ page, me, onSignOut = signOut }) {
  const online = useValue(isOnline);
  const who = useValue(session);
  return html`
    <a class="skip" href="#main">${t("shared.skip")}</a>
    <header class="page-header">
      <a class="brand" href="./" aria-current=${page === "index" ? "page" : undefined}>
        <img src="icon.svg" alt="" width="28" height="28" />${t("shared.home")}
      </a>
      <nav aria-label=${t("shared.pages")}>
        ${pages.map((name) =>
          html`
            <a key=${name} href=${`${name}.html`} aria-current=${page === name ? "page" : undefined}>
              ${t(`shared.page_${name}`)}
            </a>
          `
        )}
      </nav>
      <div class="tools">
        ${!online && html`<${State} tone="stop">${t("shared.offline")}<//>`}
        <button class="quiet" popovertarget="settings">
          ${who && html`
            <span class="who">
              ${me?.full_name ?? who.user.email}${me && html`<small>${t(`shared.role_${me.role}`)}</small>`}
            </span>
          `}
          <span class="visually-hidden">${t("shared.settings")}</span>
          <svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
            <path d="M2 5h9m5 0h2M2 15h2m5 0h9" stroke="currentColor" stroke-width="2" stroke-linecap="round" />
            <g fill="none" stroke="currentColor" stroke-width="2">
              <circle cx="13.5" cy="5" r="2.5" />
              <circle cx="6.5" cy="15" r="2.5" />
            </g>
          </svg>
        </button>
        <div class="settings stack" id="settings" popover>
          <${LanguageChoice} />
          <${ThemeChoice} />
          ${who && html`<button onClick=${onSignOut}>${t("shared.sign_out")}</button>`}
        </div>
      </div>
    </header>
  `;
}

function LanguageChoice() {
  const chosen = useValue(language);
  /** @param {Event} event */
  const onChange = (event) => chooseLanguage(/** @type {any} */ (event.currentTarget).value);
  return html`
    <label>${t("shared.language")}
    <select value=${chosen} onChange=${onChange}>
      ${Object.entries(languages).map(([code, name]) =>
        html`<option key=${code} value=${code} lang=${code}>${name}</option>`
      )}
    </select></label>
  `;
}

function ThemeChoice() {
  const [chosen, setChosen] = useState(theme());
  /** @param {Event} event */
  const onChange = (event) => {
    const { value } = /** @type {any} */ (event.currentTarget);
    chooseTheme(value);
    setChosen(value);
  };
  return html`
    <label>${t("shared.theme")}
    <select value=${chosen} onChange=${onChange}>
      ${themes.map((name) => html`<option key=${name} value=${name}>${t(`shared.theme_${name}`)}</option>`)}
    </select></label>
  `;
}
