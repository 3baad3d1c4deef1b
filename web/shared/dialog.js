/**
 * A modal dialog: the browser's own, which keeps the focus inside, closes by Escape, and gives the focus back.
 *
 * @example
 * html`${isOpen && html`<${Dialog} title=${t("plan.hold")} onClose=${close}>...<//>`}`
 *
 * @module
 */
import { html, useEffect, useId, useRef } from "./view.js";

/** @param {{ title: string, onClose: () => void, wide?: boolean, children?: any }} props */
export function Dialog({ title, onClose, wide = false, children }) {
  const titleId = useId();
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    const before = document.activeElement;
    const dialog = element.current;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  const onCancel = (/** @type {Event} */ event) => {
    event.preventDefault();
    onClose();
  };
  return html`
    <dialog ref=${element} class=${wide ? "wide" : ""} aria-labelledby=${titleId} onCancel=${onCancel}>
      <div class="stack">
        <h2 id=${titleId}>${title}</h2>
        ${children}
      </div>
    </dialog>
  `;
}
