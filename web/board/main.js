/** The board page: of a group, of some workplaces, or of a ticket on a television. */
import { list } from "../shared/api.js";
import { language, loadMessages, t, wordsOf } from "../shared/messages.js";
import { startPage } from "../shared/page.js";
import { html, render, useEffect, useState } from "../shared/view.js";
import { Board } from "./board.js";
import { forgetTicket, takeTicket } from "./ticket.js";

const search = new URLSearchParams(location.search);

/** A board that somebody who is signed in looks at. @param {{ me: any }} props */
function OwnBoard({ me }) {
  const group = search.get("workplace_group");
  const names = search.getAll("workplace_name");
  if (group !== null) return html`<${Board} title=${group} place=${{ workplace_group: group }} me=${me} />`;
  if (names.length > 0) return html`<${Board} title="" place=${{ workplace_name: names }} me=${me} />`;
  return html`<${Groups} me=${me} />`;
}

/** The groups that the caller sees something of. @param {{ me: any }} props */
function Groups({ me }) {
  const [groups, setGroups] = useState(/** @type {[string, number][] | null} */ (null));
  const [problem, setProblem] = useState(/** @type {unknown} */ (null));
  useEffect(() => {
    const seesAll = ["manager", "admin"].includes(me.role) || me.workplace_access.includes("*");
    list("/workplaces/v1", { active: true }).then((workplaces) => {
      const seen = workplaces.filter(({ name, workplace_group }) =>
        workplace_group !== null && (seesAll || me.workplace_access.includes(name))
      );
      const counts = Map.groupBy(seen, ({ workplace_group }) => workplace_group);
      setGroups([...counts].map(([name, { length }]) => [name, length]));
    }, setProblem);
  }, []);
  return html`
    <div class="stack">
      <h1>${t("board.choose")}</h1>
      ${problem !== null && html`<p class="banner stop" role="alert">${wordsOf(problem)}</p>`}
      ${groups !== null && groups.length === 0 && html`<p>${t("board.no_groups")}</p>`}
      <ul class="cards groups">
        ${groups?.map(([name, count]) =>
          html`
            <li key=${name}>
              <a class="card" href=${`board.html?workplace_group=${encodeURIComponent(name)}`}>
                <strong>${name}</strong><span class="soft">${t("board.group_size", { count })}</span>
              </a>
            </li>
          `
        )}
      </ul>
    </div>
  `;
}

/** The board of a ticket: no head, no names, nothing to click. */
function TicketBoard() {
  const onEnd = (/** @type {any} */ { code }) => code === "unauthenticated" && forgetTicket();
  return html`
    <div class="page">
      <main id="main" class="wide television">
        <${Board} title="" place=${{}} me=${null} onEnd=${onEnd} />
      </main>
    </div>
  `;
}

if (takeTicket()) {
  await loadMessages("shared", "problems", "board");
  document.documentElement.lang = language.current;
  document.title = t("board.title");
  render(html`<${TicketBoard} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
} else {
  await startPage({ name: "board", view: OwnBoard, isWide: true });
}
