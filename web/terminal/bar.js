/** Buttons of the bar: who acts, and how the terminal reaches the server. */
import { t } from "../shared/messages.js";
import { isOnline } from "../shared/network.js";
import { State } from "../shared/state.js";
import { html, useValue } from "../shared/view.js";
import { actions, unsentOf } from "./outbox.js";
import { signOutPerson } from "./people.js";
import { link } from "./sync.js";

/** @param {{ person: import("./types.js").Person | null, onSignIn: () => void }} props */
export function PersonButton({ person, onSignIn }) {
  return person === null
    ? html`<button class="big" onClick=${onSignIn}>${t("terminal.person_sign_in")}</button>`
    : html`
      <button class="big person" onClick=${signOutPerson}>
        <span><small>${t("terminal.person_sign_out")}</small>${person.display_name}</span>
      </button>
    `;
}

/** How the terminal reaches the server, and what it does not have. @param {{ owner: string, onOpen: () => void }} props */
export function LinkButton({ owner, onOpen }) {
  const unsent = unsentOf(useValue(actions), owner);
  const { state } = useValue(link);
  const online = useValue(isOnline);
  const isAway = !online || state === "away";
  const waiting = unsent.filter((one) => one.state === "waiting").length;
  const refused = unsent.length - waiting;
  return html`
    <button class="big link" onClick=${onOpen}>
      <span>
        <small>${isAway ? t("terminal.link_away") : t(`terminal.link_${state}`)}</small>
        ${waiting > 0
          ? html`<${State} tone="wait">${t("terminal.waits", { count: waiting })}<//>`
          : refused > 0
          ? html`<${State} tone="stop">${t("terminal.refused_short", { count: refused })}<//>`
          : html`<${State} tone=${isAway || state !== "live" ? "off" : "run"}>${t("terminal.all_sent")}<//>`}
      </span>
    </button>
  `;
}
