/** The terminal: operators start, stop, count and finish, without a network, too. */
import { Dialog } from "../shared/dialog.js";
import { Header } from "../shared/header.js";
import { language, loadMessages, t } from "../shared/messages.js";
import { session, signOut } from "../shared/session.js";
import { html, render, useEffect, useState, useValue } from "../shared/view.js";
import { isKeyRefused, ownerNow, ownKey, setKey } from "./credential.js";
import { serveOffline } from "./offline.js";
import { actions, discardAll, unsentOf } from "./outbox.js";
import { SetUp } from "./set_up.js";
import { forgetOthers } from "./store.js";
import { changeOwner, me, startSync } from "./sync.js";
import { Terminal } from "./terminal.js";

function Page() {
  const code = useValue(language);
  useValue(session);
  const isRefused = useValue(isKeyRefused);
  const profile = useValue(me);
  const [isLeaving, setLeaving] = useState(false);
  const owner = ownerNow();
  useEffect(() => void (document.title = t("terminal.title")), [code]);
  useEffect(() => {
    // what others have read here is not the next one's to see; what they did stays until it is sent
    forgetOthers(owner).then(changeOwner);
  }, [owner]);
  const leave = () => unsentOf(actions.current, owner).length > 0 ? setLeaving(true) : end();
  return html`
    <div class="page">
      <${Header} page="terminal" me=${ownKey === null ? profile : null} onSignOut=${leave} />
      <main id="main" tabindex="-1" class="terminal">
        ${owner === null || isRefused
          ? html`<${SetUp} />`
          : html`<${Terminal} key=${owner} owner=${owner} onLeave=${leave} />`}
      </main>
      ${isLeaving && html`<${Leaving} owner=${owner} onClose=${() => setLeaving(false)} />`}
    </div>
  `;
}

/** Ends the use of the terminal by this user, or with this key. */
function end() {
  if (ownKey === null) return signOut();
  return forgetOthers(null).then(() => setKey(null));
}

/** Asks what becomes of the actions that are not sent. @param {{ owner: string, onClose: () => void }} props */
function Leaving({ owner, onClose }) {
  const count = unsentOf(useValue(actions), owner).length;
  const [isSure, setSure] = useState(false);
  const discard = async () => {
    await discardAll(owner);
    onClose();
    end();
  };
  const keepThem = () => {
    onClose();
    end();
  };
  return html`
    <${Dialog} title=${t("terminal.leave")} onClose=${onClose}>
      <p>${t("terminal.leave_unsent", { count })}</p>
      <div class="choices">
        <button class="main big" onClick=${onClose}>${t("terminal.leave_stay")}</button>
        <button class="big" onClick=${keepThem}>${t("terminal.leave_keep")}</button>
        ${isSure
          ? html`<button class="danger big" onClick=${discard}>${t("terminal.leave_discard_sure", { count })}</button>`
          : html`<button class="danger big" onClick=${() => setSure(true)}>${t("terminal.leave_discard")}</button>`}
      </div>
      <//>
  `;
}

await loadMessages("shared", "problems", "terminal");
document.documentElement.lang = language.current;
render(html`<${Page} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
startSync();
serveOffline();
