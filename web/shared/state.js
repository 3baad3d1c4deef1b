/**
 * States, never by colour alone: an icon and a word stand beside it.
 *
 * @module
 */
import { html } from "./view.js";

/**
 * run: works. setup: is being prepared. stop: a loss, a fault, late. wait: idle, paused, held. plan: still by plan.
 * off: outside of shifts, finished, unknown. ready: may begin.
 *
 * @typedef {"run" | "setup" | "stop" | "wait" | "plan" | "off" | "ready"} Tone
 */

/** Shapes in a box of 16 by 16. @type {Readonly<Record<Tone, string>>} */
const shapes = {
  run: "M3 1l11 7-11 7z",
  setup: "M6 1h4v5h5v4h-5v5H6v-5H1V6h5z",
  stop: "M5 1h6l4 4v6l-4 4H5l-4-4V5z",
  wait: "M2 1h4v14H2zM10 1h4v14h-4z",
  plan: "M1 3h14v3H1zM1 8h9v3H1zM1 13h5v2H1z",
  off: "M1 6h14v4H1z",
  ready: "M8 1l7 7-7 7-7-7z",
};

/** The tone of a status of an operation. @type {Readonly<Record<string, Tone>>} */
export const toneOfStatus = Object.freeze({
  PLANNED: "plan",
  RELEASED: "ready",
  IN_PROGRESS: "run",
  ON_HOLD: "wait",
  FINISHED: "off",
  CANCELLED: "off",
});

/**
 * Shows the icon of a state alone; a word has to stand near it.
 *
 * @param {{ tone: Tone }} props
 */
export function StateIcon({ tone }) {
  return html`
    <svg viewBox="0 0 16 16" aria-hidden="true">
      <path d=${shapes[tone]} />
    </svg>
  `;
}

/**
 * Shows a state: <${State} tone="run">${t("board.running")}<//>
 *
 * @param {{ tone: Tone, children?: any }} props
 */
export function State({ tone, children }) {
  return html`<span class=${`state tone-${tone}`}><${StateIcon} tone=${tone} />${children}</span>`;
}
