/**
 * Numbers by thumb: fields with a pad of large keys. A keyboard works in the fields, too.
 *
 * @module
 */
import { t } from "../shared/messages.js";
import { html, useState } from "../shared/view.js";

const keys = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "clear", "0", "back"];

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {string} [tone] Class of the colours.
 * @property {boolean} [isSecret]
 *
 * @param {{ fields: Field[], values: Record<string, string>, maxLength?: number,
 *   onChange: (values: Record<string, string>) => void, onEnter: () => void }} props
 */
export function NumberPad({ fields, values, maxLength = 7, onChange, onEnter }) {
  const [active, setActive] = useState(fields[0]?.name ?? "");
  // the first key replaces what was proposed
  const [isFresh, setFresh] = useState(true);

  const digitsOf = (/** @type {string} */ text) => text.replace(/\D/g, "").slice(0, maxLength);
  /** @param {string} name @param {string} value */
  const set = (name, value) => {
    setFresh(false);
    onChange({ ...values, [name]: digitsOf(value) });
  };
  /** @param {string} key */
  const press = (key) => {
    const value = values[active] ?? "";
    if (key === "clear") set(active, "");
    else if (key === "back") set(active, value.slice(0, -1));
    else set(active, (isFresh ? "" : value) + key);
  };
  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    onEnter();
  };
  return html`
    <div class="pad">
      <div class="pad-fields">
        ${fields.map(({ name, label, tone = "", isSecret = false }) =>
          html`
            <label key=${name} class=${`${tone} ${name === active ? "active" : ""}`}>${label}
              <input
                type=${isSecret ? "password" : "text"}
                inputmode="none"
                autocomplete="off"
                name=${name}
                placeholder=${isSecret ? "" : "0"}
                value=${values[name] ?? ""}
                onInput=${(/** @type {any} */ event) => set(name, event.currentTarget.value)}
                onKeyDown=${onKeyDown}
                onFocus=${(/** @type {any} */ event) => {
                  event.currentTarget.select();
                  setActive(name);
                  setFresh(true);
                }}
              />
            </label>
          `
        )}
      </div>
      <div class="pad-keys">
        ${keys.map((key) =>
          html`
            <button
              key=${key}
              type="button"
              aria-label=${key === "clear" ? t("terminal.pad_clear") : key === "back" ? t("terminal.pad_back") : key}
              onMouseDown=${(/** @type {Event} */ event) => event.preventDefault()}
              onClick=${() => press(key)}
            >${key === "clear" ? "C" : key === "back" ? "⌫" : key}</button>
          `
        )}
      </div>
    </div>
  `;
}
