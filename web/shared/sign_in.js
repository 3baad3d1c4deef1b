/**
 * The sign-in: a form and, on the local stack alone, its demo users with one click each.
 *
 * @module
 */
import { config } from "./config.js";
import { t, wordsOf } from "./messages.js";
import { signIn, SignInRefused } from "./session.js";
import { html, useEffect, useState } from "./view.js";

/** @typedef {{ email: string, role: string, full_name: string, workplaces: string[], password: string }} DemoUser */

/** Returns the demo users; none where this is not the local stack, or it does not answer. @returns {Promise<DemoUser[]>} */
async function demoUsers() {
  try {
    const { demo_users_url } = await config();
    if (demo_users_url === undefined) return [];
    const answer = await fetch(demo_users_url, { signal: AbortSignal.timeout(2000) });
    return answer.ok ? await answer.json() : [];
  } catch {
    return [];
  }
}

/**
 * Shows the form and the demo users, and below them what the page has for those who are not signed in: all at once, so
 * that nothing moves under a finger.
 *
 * @param {{ children?: any }} props
 */
export function SignIn({ children }) {
  const [users, setUsers] = useState(/** @type {DemoUser[] | null} */ (null));
  const [problem, setProblem] = useState(/** @type {string | null} */ (null));
  const [isBusy, setBusy] = useState(false);
  useEffect(() => void demoUsers().then(setUsers), []);

  /** @param {string} email @param {string} password */
  const enter = async (email, password) => {
    setBusy(true);
    setProblem(null);
    try {
      await signIn(email, password);
    } catch (error) {
      setProblem(error instanceof SignInRefused ? t("shared.sign_in_refused") : wordsOf(error));
    }
    setBusy(false);
  };
  /** @param {SubmitEvent} event */
  const onSubmit = (event) => {
    event.preventDefault();
    const fields = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
    enter(String(fields.get("email")), String(fields.get("password")));
  };

  if (users === null) return null;
  return html`
    <div class="sign-in">
      ${users.length > 0 && html`
        <section class="card stack">
          <h2>${t("shared.demo_users")}</h2>
          <p class="soft">${t("shared.demo_users_why")}</p>
          <ul class="demo-users">
            ${users.map((user) =>
              html`
                <li key=${user.email}>
                  <button disabled=${isBusy} onClick=${() => enter(user.email, user.password)}>
                    <span>${user.full_name}<br /><small>${placesOf(user)}</small></span>
                    <small>${t(`shared.role_${user.role}`)}</small>
                  </button>
                </li>
              `
            )}
          </ul>
        </section>
      `}
      <form class="card stack" onSubmit=${onSubmit}>
        <h2>${t("shared.sign_in")}</h2>
        <label>${t("shared.email")}
          <input name="email" type="email" autocomplete="username" required />
        </label>
        <label>${t("shared.password")}
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
        <div role="alert">${problem && html`<p class="banner stop">${problem}</p>`}</div>
        <button class="main" disabled=${isBusy}>${t("shared.sign_in")}</button>
      </form>
    </div>
    ${children}
  `;
}

/** @param {DemoUser} user */
const placesOf = ({ workplaces }) => workplaces.includes("*") ? t("shared.all_workplaces") : workplaces.join(", ");
