/**
 * Types that the modules of the terminal share. This module has no code, so that a test of one of them needs no browser.
 *
 * @module
 */

/**
 * @typedef {object} Person
 * @property {string} id
 * @property {string} display_name
 *
 * @typedef {object} Item A report or a command on a downtime, as the batch takes it.
 * @property {string} id
 * @property {string} action_type
 * @property {string} workplace_name
 * @property {string} occurred_at
 * @property {string} [order_no]
 * @property {string} [operation_no]
 * @property {number} [asset_id]
 * @property {string} [phase]
 * @property {number} [qty_good]
 * @property {number} [qty_scrap]
 * @property {string} [reason_code]
 * @property {string} [downtime_id]
 * @property {boolean} [stop_runs]
 *
 * @typedef {object} Action What a person did here.
 * @property {number} seq Order in which it was done, over all tabs.
 * @property {string} owner Credential under which it was done: the id of a user, or `terminal` for an API key.
 * @property {Person | null} person Person who was signed in at the shared terminal.
 * @property {"waiting" | "sent" | "refused"} state `sent`: recorded by the server, and not yet in the queue that was read.
 * @property {Item} item
 * @property {any} [problem] Why the server refused it.
 * @property {string} [caused_by] Id of an earlier refused action, whose effect this one needs.
 *
 * @typedef {object} Place What the server said about a workplace.
 * @property {any} workplace GET /workplaces/v1/{name}
 * @property {any[]} queue GET /workplaces/v1/{name}/queue
 * @property {any[]} runs Open runs there.
 * @property {number} readAt
 */

export {};
