/**
 * What the plan shows: the filter, kept in the address of the page, so that it can be sent to others.
 *
 * @module
 */
import { t } from "../shared/messages.js";
import { html, useEffect, useState } from "../shared/view.js";
import { openStatuses, statuses } from "./operations.js";

/** @typedef {import("./operations.js").Filter} Filter */

/** Typing stops for this long before the server is asked. */
const typingMs = 300;

/** Reads the filter of the address. @returns {Filter} */
export function filterOfAddress() {
  const query = new URLSearchParams(location.search);
  const status = query.getAll("status").filter((one) => statuses.includes(one));
  return {
    group: query.get("workplace_group") ?? "",
    order: query.get("order_no") ?? "",
    q: query.get("q") ?? "",
    status: status.length > 0 ? status : openStatuses,
    late: query.get("late") === "true",
  };
}

/** Writes the filter into the address. @param {Filter} filter */
export function keepInAddress({ group, order, q, status, late }) {
  const pairs = Object.entries({ workplace_group: group, order_no: order, q, late: late ? "true" : "" }).filter((
    [, value],
  ) => value !== "");
  const isDefault = status.join() === openStatuses.join();
  const query = new URLSearchParams([...pairs, ...(isDefault ? [] : status.map((one) => ["status", one]))]);
  history.replaceState(null, "", query.size > 0 ? `?${query}` : location.pathname);
}

/** Says what the filter finds, in words. @param {Filter} filter */
export function wordsOfFilter({ group, order, q, status, late }) {
  return [
    status.map((one) => t(`plan.status_${one}`)).join(", "),
    group,
    order && `${t("plan.order")} ${order}`,
    q && `“${q}”`,
    late && t("plan.late_only"),
  ].filter(Boolean).join(" · ");
}

/** @param {{ filter: Filter, groups: readonly string[], onChange: (filter: Filter) => void }} props */
export function Filters({ filter, groups, onChange }) {
  /** @param {Partial<Filter>} change */
  const change = (change) => onChange({ ...filter, ...change });
  /** @param {string} status */
  const toggle = (status) => {
    const rest = filter.status.filter((one) => one !== status);
    const next = rest.length === filter.status.length ? [...rest, status] : rest;
    // the API lists by one status at least
    if (next.length > 0) change({ status: statuses.filter((one) => next.includes(one)) });
  };
  return html`
    <form class="filters" role="search" aria-label=${t("plan.filters")} onSubmit=${(/** @type {Event} */ event) =>
      event.preventDefault()}>
      <label>${t("plan.group")}
        <select value=${filter.group} onChange=${(/** @type {any} */ event) =>
          change({ group: event.currentTarget.value })}>
          <option value="">${t("plan.all_groups")}</option>
          ${groups.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
        </select>
      </label>
      <${TypedFilter} label=${t("plan.order")} value=${filter.order} onChange=${(/** @type {string} */ order) =>
        change({ order })} />
      <${TypedFilter} label=${t("plan.search")} value=${filter.q} onChange=${(/** @type {string} */ q) =>
        change({ q })} />
      <fieldset>
        <legend>${t("plan.status")}</legend>
        <div class="row">
          ${statuses.map((status) =>
            html`
              <button key=${status} type="button" aria-pressed=${filter.status.includes(status)} onClick=${() =>
                toggle(status)}>
                ${t(`plan.status_${status}`)}
              </button>
            `
          )}
          <button type="button" aria-pressed=${filter.late} onClick=${() => change({ late: !filter.late })}>
            ${t("plan.late_only")}
          </button>
        </div>
      </fieldset>
    </form>
  `;
}

/** A text that filters when the typing stops. @param {{ label: string, value: string, onChange: (text: string) => void }} props */
function TypedFilter({ label, value, onChange }) {
  const [text, setText] = useState(value);
  useEffect(() => {
    if (text.trim() === value) return;
    const timer = setTimeout(() => onChange(text.trim()), typingMs);
    return () => clearTimeout(timer);
  }, [text]);
  return html`
    <label>${label}
      <input type="search" maxlength="64" value=${text} onInput=${(/** @type {any} */ event) =>
        setText(event.currentTarget.value)} />
    </label>
  `;
}
