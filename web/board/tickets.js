/**
 * The tickets of a group, by which televisions show its board: makes and revokes them.
 *
 * @module
 */
import { call, list, path, post } from "../shared/api.js";
import { Dialog } from "../shared/dialog.js";
import { day, dayTime } from "../shared/formats.js";
import { t, wordsOf } from "../shared/messages.js";
import { html, useEffect, useRef, useState } from "../shared/view.js";
import { linkOf } from "./ticket.js";

/** Roles that may make tickets. */
const makers = ["supervisor", "manager", "admin"];

/** @param {any} me */
export const makesTickets = (me) => makers.includes(me?.role);

/** Days after which a ticket ends; none = never. */
const lifetimes = ["", "30", "365"];

/** @param {{ group: string, onClose: () => void }} props */
export function Tickets({ group, onClose }) {
  const [tickets, setTickets] = useState(/** @type {any[] | null} */ (null));
  const [link, setLink] = useState(/** @type {string | null} */ (null));
  const [problem, setProblem] = useState(/** @type {unknown} */ (null));
  const [isBusy, setBusy] = useState(false);

  /** @param {() => Promise<void>} act */
  const attempt = async (act) => {
    setBusy(true);
    setProblem(null);
    await act().catch(setProblem);
    setBusy(false);
  };
  const read = async () => setTickets(await list("/boards/v1", { workplace_group: group }));
  useEffect(() => void attempt(read), []);

  /** @param {SubmitEvent} event */
  const onSubmit = (event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.currentTarget);
    const fields = new FormData(form);
    const days = Number(fields.get("lifetime"));
    attempt(async () => {
      const { ticket } = await post("/boards/v1", {
        name: fields.get("name"),
        workplace_group: group,
        expires_at: days > 0 ? new Date(Date.now() + days * 86_400_000).toISOString() : null,
      });
      form.reset();
      setLink(linkOf(ticket));
      await read();
    });
  };
  /** @param {string} id */
  const revoke = (id) =>
    attempt(async () => {
      await call("DELETE", path`/boards/v1/${id}`);
      await read();
    });

  return html`
    <${Dialog} title=${t("board.tickets_title", { group })} onClose=${onClose} wide>
      <p>${t("board.tickets_why")}</p>
      <div role="alert">${problem !== null && html`<p class="banner stop">${wordsOf(problem)}</p>`}</div>
      ${link !== null && html`<${NewLink} link=${link} />`}
      <form class="new-ticket" onSubmit=${onSubmit}>
        <label>${t("board.ticket_name")}
          <input name="name" required maxlength="200" autocomplete="off" placeholder=${t("board.ticket_example")} />
        </label>
        <label>${t("board.ticket_ends")}
          <select name="lifetime">
            ${lifetimes.map((days) =>
              html`
                <option key=${days} value=${days}>
                  ${days === "" ? t("board.never") : t("board.in_days", { count: Number(days) })}
                </option>
              `
            )}
          </select>
        </label>
        <button class="main" disabled=${isBusy}>${t("board.make_ticket")}</button>
      </form>
      ${tickets !== null && tickets.length > 0 && html`
        <ul class="tickets">
          ${tickets.map((ticket) =>
            html`
              <li key=${ticket.id}>
                <span><strong>${ticket.name}</strong><br /><small class="soft">${stateOf(ticket)}</small></span>
                <button class="danger" disabled=${isBusy} onClick=${() => revoke(ticket.id)}>
                  ${t("board.revoke")}<span class="visually-hidden"> ${ticket.name}</span>
                </button>
              </li>
            `
          )}
        </ul>
      `}
      <div class="row end"><button onClick=${onClose}>${t("board.close")}</button></div>
    <//>
  `;
}

/** @param {any} ticket */
function stateOf({ status, expires_at, last_used_at, workplace_names }) {
  return [
    workplace_names.length === 0 ? t("board.ticket_shows_nothing") : "",
    status === "expired"
      ? t("board.ticket_expired")
      : expires_at
      ? t("board.ticket_until", { day: day(expires_at) })
      : "",
    last_used_at ? t("board.ticket_used", { time: dayTime(last_used_at) }) : t("board.ticket_unused"),
  ].filter((text) => text !== "").join(" · ");
}

/** The link of a new ticket, which no answer contains again. @param {{ link: string }} props */
function NewLink({ link }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const [isCopied, setCopied] = useState(false);
  useEffect(() => {
    setCopied(false);
    field.current?.select();
  }, [link]);
  const copy = async () => {
    field.current?.select();
    // a page by plain HTTP has no clipboard: the link is selected
    await navigator.clipboard?.writeText(link);
    setCopied(navigator.clipboard !== undefined);
  };
  return html`
    <div class="banner run new-link">
      <label>${t("board.ticket_link")}
        <input ref=${field} value=${link} readonly onFocus=${() => field.current?.select()} />
      </label>
      <button onClick=${copy}>${isCopied ? t("board.copied") : t("board.copy")}</button>
      <p class="small">${t("board.ticket_once")}</p>
    </div>
  `;
}
