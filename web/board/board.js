/**
 * The board: head, cards, and what is late.
 *
 * @module
 */
import { duration, time } from "../shared/formats.js";
import { language, t, wordsOf as wordsOfProblem } from "../shared/messages.js";
import { Dialog } from "../shared/dialog.js";
import { html, useEffect, useMemo, useNow, useRef, useState, useValue } from "../shared/view.js";
import { Card, Counts } from "./card.js";
import { followBoard, isSilent } from "./live.js";
import { lateWords, states, toneOf, wordsOf } from "./model.js";
import { makesTickets, Tickets } from "./tickets.js";

/** With more workplaces than this, cards show the most important things only, so that all are seen at once. */
const mostFull = 12;

/** Sizes of cards, by the number of workplaces. */
const sizes = [
  { name: "large", most: 3 },
  { name: "medium", most: 6 },
  { name: "few", most: mostFull },
  { name: "some", most: 30 },
];

/**
 * @param {object} props
 * @param {string} props.title
 * @param {import("./live.js").Place} props.place Nothing for a ticket.
 * @param {any} props.me null on a television.
 * @param {(problem: unknown) => void} [props.onEnd]
 */
export function Board({ title, place, me, onEnd }) {
  const live = useMemo(() => followBoard(place), []);
  useEffect(() => live.close, []);
  const state = useValue(live.state);
  const localNow = useNow(1000);
  const { board, oee, ended, offsetMs, heardAt } = state;
  useEffect(() => void (ended && onEnd?.(ended)), [ended]);
  if (ended) {
    return html`
      <div class="ended stack" role="alert">
        <h1>${t("board.ended")}</h1>
        <p>${me === null ? t("board.ended_ticket") : wordsOfProblem(ended)}</p>
      </div>
    `;
  }
  const silent = isSilent(state, localNow);
  if (board === null) {
    return html`
      <h1 class="visually-hidden">${title}</h1>
      ${silent && html`<p class="banner stop" role="alert">${t("board.no_answer")}</p>`}
    `;
  }
  const clock = { now: localNow + offsetMs, isSilent: silent };
  const names = [...new Set(board.workplaces.map((/** @type {any} */ { workplace_group }) => workplace_group))];
  const heading = title || (names.length === 1 ? names[0] : null) || t("board.title");
  return html`
    <div class=${silent ? "board silent" : "board"}>
      <${Head} heading=${heading} board=${board} now=${clock.now}>
        ${place.workplace_group !== undefined && makesTickets(me) &&
          html`<${TicketsButton} group=${place.workplace_group} />`}
      <//>
      <div role="alert">
        ${silent && html`
          <p class="banner stop">
            <strong>${t("board.silent", { time: duration(localNow - heardAt) })}</strong>
            <span>${t("board.silent_what", { time: time(heardAt + offsetMs) })}</span>
          </p>
        `}
      </div>
      <div class="halls">
        <${Cards} board=${board} oee=${oee} clock=${clock} isOpenable=${me !== null} />
        ${board.late.count > 0 && html`<${Late} late=${board.late} clock=${clock} />`}
      </div>
    </div>
  `;
}

/** @param {{ heading: string, board: any, now: number, children?: any }} props */
function Head({ heading, board, now, children }) {
  const counts = states
    .map((state) => ({
      state,
      tone: toneOf(state),
      count: board.workplaces.filter((/** @type {any} */ place) => place.state === state).length,
    }))
    .filter(({ count }) => count > 0);
  const shift = board.workplaces.find((/** @type {any} */ place) => place.shift !== null)?.shift;
  return html`
    <header class="board-head">
      <h1>${heading}</h1>
      <${Counts} counts=${counts} late=${board.late.count} />
      <p class="when numbers">
        ${shift && html`<span>${shift.shift_code} ${time(shift.from)}–${time(shift.to)}</span>`}
        <time>${time(now)}</time>
      </p>
      ${children}
    </header>
  `;
}

/** @param {{ group: string }} props */
function TicketsButton({ group }) {
  const [isOpen, setOpen] = useState(false);
  return html`
    <button onClick=${() => setOpen(true)}>${t("board.television")}</button>
    ${isOpen && html`<${Tickets} group=${group} onClose=${() => setOpen(false)} />`}
  `;
}

/**
 * @param {{ board: any, oee: Record<string, any>, clock: import("./model.js").Clock, isOpenable: boolean }} props
 */
function Cards({ board, oee, clock, isOpenable }) {
  const code = useValue(language);
  const [opened, setOpened] = useState(/** @type {string | null} */ (null));
  /** Cards as they were drawn, by name: the same view again is not compared. */
  const drawn = useRef(/** @type {Map<string, { text: string, view: any }>} */ (new Map()));
  const readAt = Date.parse(board.at);
  const isCompact = board.workplaces.length > mostFull;
  const all = board.workplaces.map((/** @type {any} */ place) => wordsOf(place, oee[place.name], clock, readAt));
  const shown = all.find((/** @type {any} */ { name }) => name === opened);
  const size = sizes.find(({ most }) => board.workplaces.length <= most)?.name ?? "many";
  return html`
    <section class=${`places ${size}`} aria-label=${t("board.workplaces")}>
      ${all.map((/** @type {any} */ words) => {
        const text = code + JSON.stringify(words);
        const known = drawn.current.get(words.name);
        if (known?.text === text) return known.view;
        const onOpen = isCompact && isOpenable ? setOpened : undefined;
        const view = html`<${Card} key=${words.name} words=${words} isCompact=${isCompact} onOpen=${onOpen} />`;
        drawn.current.set(words.name, { text, view });
        return view;
      })}
    </section>
    ${shown && html`
      <${Dialog} title=${shown.name} onClose=${() => setOpened(null)}>
        <div class="places few">
          <${Card} words=${shown} isCompact=${false} />
        </div>
        <div class="row end"><button onClick=${() => setOpened(null)}>${t("board.close")}</button></div>
        <//>
    `}
  `;
}

/** @param {{ late: any, clock: import("./model.js").Clock }} props */
function Late({ late, clock }) {
  const operations = lateWords(late, clock);
  return html`
    <section class="late-list" aria-labelledby="late">
      <h2 id="late">${t("board.late", { count: late.count })}</h2>
      <ol>
        ${operations.map((/** @type {any} */ { key, order, what, place, by, pieces }) =>
          html`
            <li key=${key}>
              <strong class="by numbers">${by}</strong>
              <span class="order">${order}</span>
              <span class="soft">${place}${what && ` · ${what}`}${pieces && ` · ${pieces}`}</span>
            </li>
          `
        )}
      </ol>
    </section>
  `;
}
