/**
 * Views: Preact with templates in plain JavaScript, so that pages need no build. All views import from here.
 *
 * Text in a template is always text: Preact escapes it. Never give `dangerouslySetInnerHTML`.
 *
 * @example
 * import { html, useState } from "./shared/view.js";
 *
 * function Counter({ unit }) {
 *   const [count, setCount] = useState(0);
 *   return html`<button onClick=${() => setCount(count + 1)}>${count} ${unit}</button>`;
 * }
 *
 * @module
 */
// @ts-types="../assets/preact@11.2.0/preact.d.ts"
import { createContext, Fragment, h, render } from "../assets/preact@11.2.0/preact.js";
// @ts-types="../assets/preact@11.2.0/hooks.d.ts"
import {
  useCallback,
  useContext,
  useEffect,
  useId,
  useLayoutEffect,
  useMemo,
  useReducer,
  useRef,
  useState,
} from "../assets/preact@11.2.0/hooks.js";
// @ts-types="../assets/htm@3.1.1/htm.d.ts"
import htm from "../assets/htm@3.1.1/htm.js";

export {
  createContext,
  Fragment,
  h,
  render,
  useCallback,
  useContext,
  useEffect,
  useId,
  useLayoutEffect,
  useMemo,
  useReducer,
  useRef,
  useState,
};

/** Makes a view of a template: html`<p class="note">${text}</p>`. */
export const html = htm.bind(
  /** @type {(type: any, props: any, ...children: any[]) => import("../assets/preact@11.2.0/preact.d.ts").VNode} */ (h),
);

/**
 * A value that changes, and those who want to know: the session, the language, the state of the network.
 *
 * @template Value
 * @typedef {{ readonly current: Value, subscribe(listener: () => void): () => void }} Observable
 */

/**
 * Makes a value that views can follow by {@link useValue}.
 *
 * @template Value
 * @param {Value} first
 * @returns {Observable<Value> & { set(value: Value): void }}
 */
export function observable(first) {
  let value = first;
  /** @type {Set<() => void>} */
  const listeners = new Set();
  return {
    get current() {
      return value;
    },
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const listener of [...listeners]) listener();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/**
 * Returns the value, and shows the view again when it changes.
 *
 * @template Value
 * @param {Observable<Value>} source
 * @returns {Value}
 */
export function useValue(source) {
  const [, again] = useReducer((/** @type {number} */ count) => count + 1, 0);
  useEffect(() => source.subscribe(() => again(undefined)), [source]);
  return source.current;
}

/**
 * Returns the time, and shows the view again every `everyMs`: for clocks and durations.
 *
 * @param {number} everyMs
 * @returns {number} Milliseconds since 1970.
 */
export function useNow(everyMs) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
