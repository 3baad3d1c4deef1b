/** Who uses the terminal: a user signs in, or the device gets an API key of its own. */
import { t } from "../shared/messages.js";
import { SignIn } from "../shared/sign_in.js";
import { html, useState, useValue } from "../shared/view.js";
import { isKeyRefused, keyPattern, setKey } from "./credential.js";
import { actions } from "./outbox.js";

export function SetUp() {
  const isRefused = useValue(isKeyRefused);
  const unsent = useValue(actions).filter(({ state }) => state !== "sent").length;
  const [problem, setProblem] = useState("");
  /** @param {SubmitEvent} event */
  const onSubmit = (event) => {
    event.preventDefault();
    const fields = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
    const key = String(fields.get("key")).trim();
    if (new RegExp(`^${keyPattern}$`).test(key)) setKey(key);
    else setProblem(t("terminal.key_malformed"));
  };
  const keyForm = html`
    <details class="card" open=${isRefused}>
      <summary><strong>${t("terminal.key_title")}</strong></summary>
      <form class="stack" onSubmit=${onSubmit}>
        <p class="soft">${t("terminal.key_why")}</p>
        <label>${t("terminal.key")}
          <input name="key" type="password" autocomplete="off" required aria-invalid=${String(problem !== "")} />
        </label>
        <div role="alert">${problem && html`<p class="banner stop">${problem}</p>`}</div>
        <button class="main">${t("terminal.key_use")}</button>
      </form>
    </details>
  `;
  return html`
    <div class="stack">
      <h1>${t("terminal.title")}</h1>
      ${isRefused && html`
        <div class="banner stop" role="alert">
          <p>${t("terminal.key_refused")}</p>
          <button onClick=${() => setKey(null)}>${t("terminal.key_remove")}</button>
        </div>
      `}
      ${unsent > 0 && html`<p class="banner wait">${t("terminal.unsent_kept", { count: unsent })}</p>`}
      ${isRefused ? keyForm : html`<${SignIn}>${keyForm}<//>`}
    </div>
  `;
}
