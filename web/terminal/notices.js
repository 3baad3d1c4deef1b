/** What the people at the terminal have to know now. */
import { duration, time } from "../shared/formats.js";
import { t, wordsOf } from "../shared/messages.js";
import { isOnline } from "../shared/network.js";
import { html, useNow, useState, useValue } from "../shared/view.js";
import { clockOffsetMs, serverNow } from "./clock.js";
import { ReasonDialog } from "./dialogs.js";
import { actions, unsentOf } from "./outbox.js";
import { peopleVersion } from "./people.js";
import { link, place, reasons } from "./sync.js";
import { awaited } from "./unsent.js";

/** A clock that is off by more is worth a word. */
const clockWarningMs = 60_000;

/** What needs somebody. @param {{ owner: string, onOpen: () => void }} props */
export function Notices({ owner, onOpen }) {
  useValue(peopleVersion);
  const all = useValue(actions);
  const { state, problem } = useValue(link);
  const known = useValue(place);
  const online = useValue(isOnline);
  const refused = unsentOf(all, owner).filter((one) => one.state === "refused").length;
  const people = awaited(all, owner);
  const isAway = !online || state === "away";
  return html`
    ${refused > 0 && html`
      <div class="banner stop"><p>${t("terminal.refused", { count: refused })}</p>
        <button class="big" onClick=${onOpen}>${t("terminal.look")}</button></div>
    `}
    ${people.map(({ person, count }) =>
      html`
        <div key=${person.id} class="banner wait"><p>${t("terminal.awaited", { name: person.display_name, count })}</p>
          <button class="big" onClick=${onOpen}>${t("terminal.look")}</button></div>
      `
    )}
    ${isAway && known && html`
      <p class="banner wait">${t("terminal.away", { time: time(known.readAt) })}</p>
    `}
    ${state === "refused" && problem && html`<p class="banner stop">${wordsOf(problem)}</p>`}
    ${Math.abs(clockOffsetMs()) > clockWarningMs && html`
      <p class="banner wait">${t("terminal.clock", { duration: duration(Math.abs(clockOffsetMs())) })}</p>
    `}
  `;
}

/** What stops the workplace. @param {{ stop: any, may: string[], onDo: (doing: any) => void, onExplain: () => void }} props */
export function Stop({ stop, may, onDo, onExplain }) {
  useNow(10_000);
  const codes = useValue(reasons);
  if (!stop) return null;
  const reason = codes.find(({ kind, code }) => kind === "DOWNTIME" && code === stop.reason_code);
  const words = stop.reason_code === null ? t("terminal.unexplained") : reason?.description ?? stop.reason_code;
  return html`
    <div class="banner stop standing">
      <p>
        <strong>${t("terminal.stands", { time: time(stop.since) })}</strong>
        ${` · ${duration(serverNow() - Date.parse(stop.since))} · ${words}`}
      </p>
      ${stop.downtime_id && html`
        <div class="row">
          ${may.includes("DOWNTIME_CLASSIFY") &&
            html`<button class="big" onClick=${onExplain}>${t("terminal.reason")}</button>`}
          ${may.includes("DOWNTIME_END") && html`
            <button class="big main" onClick=${() => onDo({ action_type: "DOWNTIME_END", ...idOf(stop) })}>
              ${t("terminal.stand_end")}
            </button>
          `}
        </div>
      `}
    </div>
  `;
}

/** @param {{ running: number, onDo: (doing: any) => void, onClose: () => void }} props */
export function StopDialog({ running, onDo, onClose }) {
  const [stopsRuns, setStopsRuns] = useState(running > 0);
  const choose = (/** @type {string | undefined} */ code) => {
    onClose();
    onDo({
      action_type: "DOWNTIME_START",
      ...(stopsRuns && running > 0 ? { stop_runs: true } : {}),
      ...(code === undefined ? {} : { reason_code: code }),
    });
  };
  return html`
    <${ReasonDialog} title=${t(
      "terminal.stand_still",
    )} kind="DOWNTIME" isOptional onChoose=${choose} onClose=${onClose}>
      ${running > 0 && html`
        <label class="check big">
          <input type="checkbox" checked=${stopsRuns} onChange=${() => setStopsRuns(!stopsRuns)} />
          ${t("terminal.stop_runs")}
        </label>
      `}
    <//>
  `;
}

/** The downtime that a command means. @param {any} stop */
export const idOf = (stop) => stop?.downtime_id ? { downtime_id: stop.downtime_id } : {};
