/**
 * Barcode and badge readers that type like a keyboard: a burst of keys, then Enter.
 *
 * @module
 */

/** A reader types faster than this between two keys; a person does not. */
const maxGapMs = 50;

/** Shorter bursts are a person's. */
const minLength = 4;

/**
 * Calls `onScan` with what a reader typed, wherever the focus is. A field that had the focus gets its text back.
 *
 * @param {(text: string) => void} onScan
 * @returns {() => void} Ends it.
 */
export function listenToScanner(onScan) {
  let text = "";
  let lastAt = 0;
  /** @type {{ field: HTMLInputElement, value: string } | null} */
  let before = null;
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    const isFast = event.timeStamp - lastAt <= maxGapMs;
    lastAt = event.timeStamp;
    if (event.key === "Enter") {
      const isScan = isFast && text.length >= minLength;
      if (isScan) {
        // not a press of the button that has the focus, nor a form that is sent
        event.preventDefault();
        event.stopPropagation();
        if (before) restore(before);
        onScan(text);
      }
      text = "";
      return;
    }
    // Shift comes between the letters of a burst
    if (event.key.length !== 1) return;
    if (!isFast || text === "") {
      text = "";
      const field = event.target;
      before = field instanceof HTMLInputElement ? { field, value: field.value } : null;
    }
    text += event.key;
  };
  addEventListener("keydown", onKeyDown, { capture: true });
  return () => removeEventListener("keydown", onKeyDown, { capture: true });
}

/** @param {{ field: HTMLInputElement, value: string }} before */
function restore({ field, value }) {
  field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

/**
 * Finds the operation that a barcode names: the order, or the order and the operation with any sign between them.
 *
 * @param {string} text
 * @param {readonly import("./prediction.js").Work[]} works
 * @returns {import("./prediction.js").Work | undefined}
 */
export function workOfBarcode(text, works) {
  const plain = (/** @type {string} */ code) => code.toUpperCase().replace(/[^\p{L}\p{N}]/gu, "");
  const wanted = plain(text);
  const isNamed = (/** @type {any} */ { order_no, asset_id, operation_no }) =>
    [order_no, `${order_no}${operation_no}`, `${order_no}${asset_id}${operation_no}`].some((code) =>
      plain(code) === wanted
    );
  const named = works.filter(({ operation }) => isNamed(operation));
  // of several operations of an order: the one that runs, then the one that may begin
  const canStart = (/** @type {any} */ { operation }) =>
    operation.allowed_actions.some((/** @type {any} */ one) => one.action === "START" && one.allowed);
  return named.find(({ run }) => run !== null) ?? named.find(canStart) ?? named[0];
}
