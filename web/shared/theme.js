/**
 * Light or dark. Each page loads this module before it paints (`blocking="render"`), so that nothing flashes.
 *
 * @module
 */

/** @typedef {"system" | "light" | "dark"} Theme */

const storageKey = "mes.theme";
const prefersDark = matchMedia("(prefers-color-scheme: dark)");

/** @type {readonly Theme[]} */
export const themes = ["system", "light", "dark"];

/** Returns the choice of the person at this browser. @returns {Theme} */
export const theme = () => themes.find((one) => one === localStorage.getItem(storageKey)) ?? "system";

/** Changes the colours of all pages of this browser. @param {Theme} chosen */
export function chooseTheme(chosen) {
  localStorage.setItem(storageKey, chosen);
  apply();
}

function apply() {
  const chosen = theme();
  const isDark = chosen === "dark" || (chosen === "system" && prefersDark.matches);
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
}

prefersDark.addEventListener("change", apply);
addEventListener("storage", apply);
apply();
