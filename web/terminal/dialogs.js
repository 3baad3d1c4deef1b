/**
 * What an action asks for: a reason, quantities, a PIN.
 *
 * @module
 */
import { Dialog } from "../shared/dialog.js";
import { t } from "../shared/messages.js";
import { html, useState, useValue } from "../shared/view.js";
import { NumberPad } from "./number_pad.js";
import { signInPerson } from "./people.js";
import { reasons } from "./sync.js";
import { wordsOfProblem } from "./words.js";

/** @typedef {"STOP" | "SCRAP" | "SHORTFALL" | "DOWNTIME"} ReasonKind */

/** Codes that stand for others are no choice. @param {any[]} all @param {ReasonKind} kind */
function choicesOf(all, kind) {
  const ofKind = all.filter((reason) => reason.kind === kind && reason.active && reason.code !== "UNSPECIFIED");
  return ofKind.filter(({ code }) => !ofKind.some(({ parent }) => parent === code));
}

/**
 * Buttons for the reasons of a kind.
 *
 * @param {{ kind: ReasonKind, chosen?: string, onChoose: (code: string) => void }} props
 */
export function Reasons({ kind, chosen, onChoose }) {
  const choices = choicesOf(useValue(reasons), kind);
  return html`
    <div class="reasons" role="group" aria-label=${t("terminal.reason")}>
      ${choices.map(({ code, description }) =>
        html`
          <button
            key=${code}
            type="button"
            class="big"
            aria-pressed=${chosen === undefined ? undefined : String(chosen === code)}
            onClick=${() => onChoose(code)}
          ><span>${description ?? code}${description && html`<small>${code}</small>`}</span></button>
        `
      )}
      ${choices.length === 0 && html`<p class="soft">${t("terminal.reasons_none")}</p>`}
    </div>
  `;
}

/**
 * Asks for a reason; one touch chooses it.
 *
 * @param {{ title: string, kind: ReasonKind, lead?: string, isOptional?: boolean, children?: any,
 *   onChoose: (code: string | undefined) => void, onClose: () => void }} props
 */
export function ReasonDialog({ title, kind, lead, isOptional = false, children, onChoose, onClose }) {
  return html`
    <${Dialog} wide title=${title} onClose=${onClose}>
      ${lead && html`<p>${lead}</p>`}
      ${children}
      <${Reasons} kind=${kind} onChoose=${onChoose} />
      <div class="choices">
        ${isOptional && html`
          <button class="big" onClick=${() => onChoose(undefined)}>${t("terminal.reason_without")}</button>
        `}
        <button class="big quiet" onClick=${onClose}>${t("terminal.cancel")}</button>
      </div>
    <//>
  `;
}

/** @param {string | undefined} text */
const countOf = (text) => Number(text || 0);

/**
 * Asks for good pieces and scrap; COMPLETE proposes what is missing, and asks why when some stay missing.
 *
 * @param {{ operation: any, isLast: boolean, onBook: (fields: Partial<import("./types.js").Item>) => void,
 *   onClose: () => void }} props
 */
export function QuantityDialog({ operation, isLast, onBook, onClose }) {
  const { qty_desired, qty_good, overrun_tolerance_pct } = operation;
  const missing = qty_desired === null ? null : Math.max(0, qty_desired - qty_good);
  const [values, setValues] = useState(
    /** @type {Record<string, string>} */ ({
      good: isLast && missing !== null ? String(missing) : "",
      scrap: "",
    }),
  );
  const [reason, setReason] = useState("");
  const good = countOf(values.good);
  const scrap = countOf(values.scrap);
  const most = qty_desired === null ? Infinity : Math.floor(qty_desired * (1 + overrun_tolerance_pct / 100)) - qty_good;
  const isTooMuch = good > most;
  const isShort = isLast && missing !== null && good < missing;
  const kind = isShort ? "SHORTFALL" : !isLast && scrap > 0 ? "SCRAP" : null;
  const isReady = !isTooMuch && (isLast || good + scrap > 0) && (!isShort || reason !== "");
  const book = () => {
    if (!isReady) return;
    onBook({ qty_good: good, qty_scrap: scrap, ...(kind !== null && reason !== "" ? { reason_code: reason } : {}) });
  };
  return html`
    <${Dialog} wide title=${isLast ? t("terminal.complete_title") : t("terminal.count_title")} onClose=${onClose}>
      <p class="soft">${operation.order_no} · ${operation.operation_no}${missing !== null &&
        ` · ${t("terminal.missing", { count: missing })}`}</p>
      <div class="quantity">
        <${NumberPad}
          fields=${[
            { name: "good", label: t("terminal.good"), tone: "tone-run" },
            { name: "scrap", label: t("terminal.scrap"), tone: "tone-stop" },
          ]}
          values=${values}
          onChange=${setValues}
          onEnter=${book}
        />
        <div class="stack">
          <div role="status" class="stack">
            ${isTooMuch && html`
              <p class="banner stop">${t("terminal.why_invalid_quantity", { limit: Math.max(0, most) })}</p>
            `}
            ${isShort && html`<p class="banner wait">${t("terminal.short", { count: missing - good })}</p>`}
          </div>
          ${kind !== null && html`
            <h3>${kind === "SCRAP" ? t("terminal.reason_scrap") : t("terminal.reason_shortfall")}</h3>
            <${Reasons} kind=${kind} chosen=${reason} onChoose=${setReason} />
          `}
        </div>
      </div>
      <div class="choices">
        <button class="main big" disabled=${!isReady} onClick=${book}>
          ${isLast ? t("terminal.complete_book") : t("terminal.count_book")}
        </button>
        <button class="big quiet" onClick=${onClose}>${t("terminal.cancel")}</button>
      </div>
      <//>
  `;
}

/**
 * Signs a person in: badge and PIN, or number and PIN.
 *
 * @param {{ badge: string | null, name?: string, onClose: () => void }} props `badge` is what the reader read.
 */
export function SignInPersonDialog({ badge, name, onClose }) {
  const [values, setValues] = useState(/** @type {Record<string, string>} */ ({ pin: "" }));
  const [number, setNumber] = useState("");
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [isBusy, setBusy] = useState(false);
  const enter = async () => {
    if (isBusy || (badge === null && number === "")) return;
    setBusy(true);
    setProblem(null);
    try {
      const who = badge === null ? { person_no: number } : { badge_code: badge };
      await signInPerson({ ...who, ...(values.pin ? { pin: values.pin } : {}) });
      onClose();
    } catch (error) {
      setProblem(error);
      setValues({ pin: "" });
      setBusy(false);
    }
  };
  return html`
    <${Dialog} title=${name ? t("terminal.person_again", { name }) : t("terminal.person_sign_in")} onClose=${onClose}>
      ${badge === null
        ? html`
          <p class="soft">${t("terminal.person_scan")}</p>
          <label>${t("terminal.person_no")}
            <input
              class="big"
              value=${number}
              autocomplete="off"
              onInput=${(/** @type {any} */ event) => setNumber(event.currentTarget.value)}
            />
          </label>
        `
        : html`<p class="banner run">${t("terminal.badge_read")}</p>`}
      <${NumberPad}
        key=${badge}
        fields=${[{ name: "pin", label: t("terminal.pin"), isSecret: true }]}
        values=${values}
        maxLength=${12}
        onChange=${setValues}
        onEnter=${enter}
      />
      <div role="alert">${problem && html`<p class="banner stop">${wordsOfProblem(problem)}</p>`}</div>
      <div class="choices">
        <button class="main big" disabled=${isBusy || (badge === null && number === "")} onClick=${enter}>
          ${t("shared.sign_in")}
        </button>
        <button class="big quiet" onClick=${onClose}>${t("terminal.cancel")}</button>
      </div>
    <//>
  `;
}
