/** The consent page: a client, such as one of a language model, asks to act for the person who is signed in. */
import { t, wordsOf } from "../shared/messages.js";
import { startPage } from "../shared/page.js";
import { html, useEffect, useState } from "../shared/view.js";
import { authorizationIn, decide, readAuthorization, returnToClient } from "./authorizations.js";

const id = authorizationIn(location.search);

/** A page in a frame could be covered by another, so that a click decides what nobody has read. */
const isFramed = top !== self;

/** @param {{ me: any }} props */
function Consent({ me }) {
  const [asked, setAsked] = useState(/** @type {import("./authorizations.js").Authorization | null} */ (null));
  const [problem, setProblem] = useState(/** @type {unknown} */ (null));
  const [isBusy, setBusy] = useState(false);
  useEffect(() => {
    if (id === null || isFramed) return;
    readAuthorization(id).then((found) => {
      // the user has let this client in before
      if ("redirect_url" in found) returnToClient(found);
      else setAsked(found);
    }).catch(setProblem);
  }, [me.id]);
  /** @param {"approve" | "deny"} action */
  const choose = async (action) => {
    setBusy(true);
    setProblem(null);
    try {
      returnToClient(await decide(id ?? "", action));
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  return html`
    <section class="consent stack">
      <h1>${t("consent.title")}</h1>
      ${id === null && html`<p class="banner stop" role="alert">${t("consent.no_request")}</p>`}
      ${isFramed && html`<p class="banner stop" role="alert">${t("consent.framed")}</p>`}
      <div role="alert">
        ${problem !== null && html`<p class="banner stop">${t("consent.failed")} ${wordsOf(problem)}</p>`}
      </div>
      ${asked && html`
        <div class="card stack">
          <p>${t("consent.asks", { client: nameOf(asked), email: asked.user.email })}</p>
          <dl>
            <dt>${t("consent.returns_to")}</dt>
            <dd>${placeOf(asked.redirect_uri)}</dd>
            <dt>${t("consent.role")}</dt>
            <dd>${t(`shared.role_${me.role}`)}</dd>
            <dt>${t("consent.places")}</dt>
            <dd>${placesOf(me)}</dd>
          </dl>
          <p>${t("consent.means")}</p>
          <p class="soft">${t("consent.doubt")}</p>
          <div class="choices">
            <button class="main" disabled=${isBusy} onClick=${() => choose("approve")}>${t("consent.approve")}</button>
            <button disabled=${isBusy} onClick=${() => choose("deny")}>${t("consent.deny")}</button>
          </div>
        </div>
      `}
    </section>
  `;
}

/** @param {import("./authorizations.js").Authorization} asked */
const nameOf = ({ client }) => client.name ?? client.id;

/** Where the answer goes: anybody can give a client any name, and any host to an address that is no website. @param {string} uri */
function placeOf(uri) {
  const { protocol, host } = new URL(uri);
  if (protocol === "https:") return host;
  return host === "" ? protocol : `${protocol}//${host}`;
}

/** @param {{ role: string, workplace_access: string[] }} me */
function placesOf({ role, workplace_access: places }) {
  const seesAll = ["manager", "admin"].includes(role) || places.includes("*");
  return seesAll ? t("shared.all_workplaces") : places.join(", ") || "–";
}

await startPage({ name: "consent", view: Consent });
