/**
 * The board ticket of a television: docs/board.md. It comes in the fragment of the address, which browsers do not send,
 * and leaves the address at once.
 *
 * @module
 */
import { useCredential } from "../shared/api.js";
import { session } from "../shared/session.js";

const storageKey = "mes.board_ticket";

/**
 * Uses the ticket of the address, which is kept; else the kept one, unless somebody is signed in here.
 *
 * @returns {boolean} Whether the board is that of a ticket.
 */
export function takeTicket() {
  const given = new URLSearchParams(location.hash.slice(1)).get("ticket");
  if (given !== null) {
    localStorage.setItem(storageKey, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  const ticket = given ?? (session.current === null ? localStorage.getItem(storageKey) : null);
  if (ticket === null) return false;
  // there is no other one: refused, the board ends
  useCredential({ token: () => Promise.resolve(ticket), end: () => {} });
  return true;
}

/** Forgets the ticket: it does not open the board any more, or somebody took it away. */
export function forgetTicket() {
  localStorage.removeItem(storageKey);
}

/** Returns the link of a ticket. @param {string} ticket */
export const linkOf = (ticket) => `${location.origin}${location.pathname}#ticket=${ticket}`;
