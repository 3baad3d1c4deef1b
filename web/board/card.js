/**
 * The card of a workplace: model.js has its words.
 *
 * @module
 */
import { t } from "../shared/messages.js";
import { State, StateIcon } from "../shared/state.js";
import { html } from "../shared/view.js";

/** @typedef {ReturnType<typeof import("./model.js").wordsOf>} CardWords */

/**
 * @param {{ words: CardWords, isCompact: boolean, onOpen?: (name: string) => void }} props isCompact: one of many, without
 *   what comes next and the losses; onOpen shows all of it.
 */
export function Card({ words, isCompact, onOpen }) {
  const { name, tone, word, since, why, pause, nextShift, running, more, next, oee, isUnexplained, isSilent } = words;
  const classes = ["place", `tone-${tone}`, isCompact && "compact", isUnexplained && "alarm", isSilent && "silent"];
  const hint = [pause, nextShift].filter(Boolean).join(" · ");
  // a small card has one line for both
  const isMerged = isCompact && why !== "" && tone === "stop";
  return html`
    <article class=${classes.filter(Boolean).join(" ")} aria-label=${name}>
      <header>
        <h2>${onOpen ? html`<button class="name" onClick=${() => onOpen(name)}>${name}</button>` : name}</h2>
        ${oee && html`<p class="oee-total numbers"><abbr title=${t("board.oee_long")}>OEE</abbr> ${oee.total}</p>`}
      </header>
      <p class="now"><${StateIcon} tone=${tone} /><strong>${isUnexplained && isCompact
        ? t("board.unexplained_short")
        : isMerged
        ? why
        : word}</strong>
        <span class="numbers">${since}</span></p>
      ${why && !isMerged && html`<p class="why">${why}</p>`}
      ${running.map((one) => html`<${Running} key=${one.key} words=${one} />`)}
      ${more && html`<p class="hint">${more}</p>`}
      ${isCompact && running.length === 0 && next[0] && html`
        <p class="first">
          <span class="visually-hidden">${t("board.next")}</span>
          <span class="numbers">${next[0].at}</span>
          <span class="order">${next[0].order}</span>
        </p>
      `}
      ${hint && html`<p class="hint">${hint}</p>`}
      ${!isCompact && html`
        ${next.length > 0 && html`
          <section class="next">
            <h3>${t("board.next")}</h3>
            <ol>
              ${next.map((one) =>
                html`
                  <li key=${one.key} class=${one.isLate ? "late" : ""}>
                    <span class="numbers">${one.at || "–"}</span>
                    <span class="what">
                      <span class="order">${one.order}</span>${" "}
                      ${one.state && html`<small>${one.state}</small>`}${" "}
                      ${one.what}
                    </span>
                  </li>
                `
              )}
            </ol>
          </section>
        `}
        ${oee && html`<${Oee} words=${oee} />`}
      `}
    </article>
  `;
}

/** @param {{ words: CardWords["running"][number] }} props */
function Running({ words }) {
  const { order, what, pieces, scrap, done, expected, spent, isOver, end, isLate } = words;
  return html`
    <div class="running">
      <p class="work"><span class="order">${order}</span>${what && html`<span class="what">${what}</span>`}</p>
      <div class="bar" aria-hidden="true">
        <i style=${{ width: `${done}%` }}></i>
        ${expected !== null && html`<b style=${{ left: `${expected}%` }}></b>`}
      </div>
      <p class="facts">
        <strong class="numbers">${pieces}</strong>
        ${scrap && html`<span class="scrap bad numbers">${scrap}</span>`}
        ${spent && html`<span class=${isOver ? "spent numbers bad" : "spent numbers"}>${spent}</span>`}
        ${end && html`<span class=${isLate ? "end numbers bad" : "end numbers"}>${end}</span>`}
      </p>
    </div>
  `;
}

/** @param {{ words: NonNullable<CardWords["oee"]> }} props */
function Oee({ words: { why, tone, parts, losses } }) {
  return html`
    <section class=${`oee tone-${tone}`}>
      <dl class="parts">
        ${parts.map(({ key, value }) =>
          html`
            <div key=${key}>
              <dt>${t(`board.oee_${key}`)}</dt>
              <dd class="numbers">${value}</dd>
            </div>
          `
        )}
      </dl>
      ${why && html`<p class="hint">${why}</p>`}
      ${losses.length > 0 && html`
        <ul class="losses">
          ${losses.map(({ key, name, time }) => html`<li key=${key}>${name} <span class="numbers">${time}</span></li>`)}
        </ul>
      `}
    </section>
  `;
}

/**
 * How many workplaces are in each state, and how many operations are late.
 *
 * @param {{ counts: readonly { state: string, tone: any, count: number }[], late: number }} props
 */
export function Counts({ counts, late }) {
  return html`
    <ul class="counts">
      ${counts.map(({ state, tone, count }) =>
        html`
          <li key=${state}>
            <${State} tone=${tone}><strong class="numbers">${count}</strong> ${t(`board.state_${state}`)}<//>
          </li>
        `
      )}
      ${late > 0 && html`
        <li>
          <${State} tone="stop">${t("board.late", { count: late })}<//></li>
      `}
    </ul>
  `;
}
