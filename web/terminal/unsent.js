/** Actions that the server does not have: those that wait, and those that it refused with what to do about them. */
import { Dialog } from "../shared/dialog.js";
import { dayTime, time } from "../shared/formats.js";
import { t } from "../shared/messages.js";
import { html, useState, useValue } from "../shared/view.js";
import { Reasons } from "./dialogs.js";
import { NumberPad } from "./number_pad.js";
import { actions, discard, sendAgain, sendWithoutName, unsentOf, withDependents } from "./outbox.js";
import { passOf, peopleVersion } from "./people.js";
import { syncSoon } from "./sync.js";
import { wordsOfItem, wordsOfProblem } from "./words.js";

/** @typedef {import("./types.js").Action} Action */

/** People who have to sign in before what they did is sent. @param {Action[]} all @param {string} owner */
export function awaited(all, owner) {
  /** @type {Map<string, { person: import("./types.js").Person, count: number }>} */
  const found = new Map();
  for (const { person } of unsentOf(all, owner).filter(({ state }) => state === "waiting")) {
    if (person === null || passOf(person.id) !== undefined) continue;
    found.set(person.id, { person, count: (found.get(person.id)?.count ?? 0) + 1 });
  }
  return [...found.values()];
}

/**
 * @param {{ owner: string, onSignIn: (person: import("./types.js").Person) => void, onClose: () => void }} props
 */
export function Unsent({ owner, onSignIn, onClose }) {
  useValue(peopleVersion);
  const all = useValue(actions);
  const unsent = unsentOf(all, owner);
  const refused = unsent.filter(({ state }) => state === "refused");
  const isCause = (/** @type {Action} */ one) => !refused.some(({ item }) => item.id === one.caused_by);
  const waiting = unsent.filter(({ state }) => state === "waiting");
  const others = all.filter((one) => one.owner !== owner && one.state !== "sent").length;
  return html`
    <${Dialog} wide title=${t("terminal.unsent")} onClose=${onClose}>
      ${refused.filter(isCause).map((action) => html`<${Refused} key=${action.seq} action=${action} all=${all} />`)}
      ${awaited(all, owner).map(({ person, count }) =>
        html`<${Awaited} key=${person.id} owner=${owner} person=${person} count=${count} onSignIn=${onSignIn} />`
      )}
      ${waiting.length > 0 && html`
        <section class="stack">
          <h3>${t("terminal.waiting", { count: waiting.length })}</h3>
          <ol class="waiting">
            ${waiting.map(({ seq, item, person }) =>
              html`
                <li key=${seq}>
                  <span class="numbers">${time(item.occurred_at)}</span>
                  <span>${nameOf(item)}<br />${wordsOfItem(item)}${person &&
                    html`<small> ${person.display_name}</small>`}</span>
                </li>
              `
            )}
          </ol>
        </section>
      `}
      ${unsent.length === 0 && html`<p class="banner run">${t("terminal.all_sent")}</p>`}
      ${others > 0 && html`<p class="soft">${t("terminal.unsent_others", { count: others })}</p>`}
      <div class="choices">
        ${waiting.length > 0 && html`<button class="big" onClick=${syncSoon}>${t("terminal.send_now")}</button>`}
        <button class="big" onClick=${onClose}>${t("terminal.close")}</button>
      </div>
    <//>
  `;
}

/** @param {import("./types.js").Item} item */
const nameOf = ({ order_no, operation_no, workplace_name }) =>
  order_no === undefined ? workplace_name : `${order_no} · ${operation_no}`;

/** @param {{ action: Action, all: Action[] }} props */
function Refused({ action, all }) {
  const [isCorrecting, setCorrecting] = useState(false);
  const [isSure, setSure] = useState(false);
  const { item, problem, person } = action;
  const dependents = withDependents(action, all).length - 1;
  const again = async () => {
    await sendAgain(action);
    syncSoon();
  };
  const forget = () => isSure ? discard(action) : setSure(true);
  return html`
    <section class="refused card stack">
      <header>
        <strong>${nameOf(item)}</strong>
        <span>${wordsOfItem(item)}</span>
        <span class="soft small">${dayTime(item.occurred_at)}${person && ` · ${person.display_name}`}</span>
      </header>
      <p class="banner stop">${wordsOfProblem(problem, item)}</p>
      ${dependents > 0 && html`<p>${t("terminal.refused_dependents", { count: dependents })}</p>`}
      ${isCorrecting ? html`<${Correct} action=${action} onClose=${() => setCorrecting(false)} />` : html`
        <div class="choices">
          <button class="main big" onClick=${() => setCorrecting(true)}>${t("terminal.correct")}</button>
          <button class="big" onClick=${again}>${t("terminal.send_again")}</button>
          <button class="big danger" onClick=${forget}>
            ${isSure ? t("terminal.discard_sure", { count: dependents + 1 }) : t("terminal.discard")}
          </button>
        </div>
        <details class="soft small">
          <summary>${t("terminal.details")}</summary>
          <p>${problem.detail} (${problem.code})</p>
        </details>
      `}
    </section>
  `;
}

const kindOf = /** @type {Readonly<Record<string, "STOP" | "SCRAP" | "SHORTFALL" | "DOWNTIME">>} */ ({
  STOP: "STOP",
  REPORT_QUANTITY: "SCRAP",
  COMPLETE: "SHORTFALL",
  FINISH: "SHORTFALL",
  DOWNTIME_START: "DOWNTIME",
  DOWNTIME_CLASSIFY: "DOWNTIME",
});

/** The value of a field for a local time, to the second. @param {string} at */
function localTime(at) {
  const date = new Date(at);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/** @param {{ action: Action, onClose: () => void }} props */
function Correct({ action, onClose }) {
  const { item } = action;
  const hasCounts = ["REPORT_QUANTITY", "COMPLETE"].includes(item.action_type);
  const [values, setValues] = useState(
    /** @type {Record<string, string>} */ ({
      good: String(item.qty_good ?? ""),
      scrap: String(item.qty_scrap ?? ""),
    }),
  );
  const first = localTime(item.occurred_at);
  const [at, setAt] = useState(first);
  const [reason, setReason] = useState(item.reason_code ?? "");
  const kind = kindOf[item.action_type];
  const send = async () => {
    await sendAgain(action, {
      ...(hasCounts ? { qty_good: Number(values.good || 0), qty_scrap: Number(values.scrap || 0) } : {}),
      ...(reason === "" ? {} : { reason_code: reason }),
      // the milliseconds stay unless the time was changed
      ...(at === first || at === "" ? {} : { occurred_at: new Date(at).toISOString() }),
    });
    onClose();
    syncSoon();
  };
  return html`
    <div class="stack">
      <label>${t("terminal.when")}
        <input type="datetime-local" step="1" value=${at} onInput=${(/** @type {any} */ event) =>
          setAt(event.currentTarget.value)} />
      </label>
      ${hasCounts && html`
        <${NumberPad}
          fields=${[
            { name: "good", label: t("terminal.good"), tone: "tone-run" },
            { name: "scrap", label: t("terminal.scrap"), tone: "tone-stop" },
          ]}
          values=${values}
          onChange=${setValues}
          onEnter=${send}
        />
      `}
      ${kind && html`
        <h3>${t("terminal.reason")}</h3>
        <${Reasons} kind=${kind} chosen=${reason} onChoose=${setReason} />
      `}
      <div class="choices">
        <button class="main big" onClick=${send}>${t("terminal.correct_send")}</button>
        <button class="big quiet" onClick=${onClose}>${t("terminal.cancel")}</button>
      </div>
    </div>
  `;
}

/**
 * @param {{ owner: string, person: import("./types.js").Person, count: number,
 *   onSignIn: (person: import("./types.js").Person) => void }} props
 */
function Awaited({ owner, person, count, onSignIn }) {
  const [isSure, setSure] = useState(false);
  const sendNameless = async () => {
    if (!isSure) return setSure(true);
    await sendWithoutName(owner, person.id);
    syncSoon();
  };
  return html`
    <section class="refused card stack">
      <p class="banner wait">${t("terminal.awaited", { name: person.display_name, count })}</p>
      <div class="choices">
        <button class="main big" onClick=${() => onSignIn(person)}>${t("terminal.person_again", {
          name: person.display_name,
        })}</button>
        <button class="big" onClick=${sendNameless}>
          ${isSure ? t("terminal.nameless_sure", { name: person.display_name }) : t("terminal.nameless")}
        </button>
      </div>
    </section>
  `;
}
