/** The choice of the workplace, among those of the caller. */
import { list } from "../shared/api.js";
import { t } from "../shared/messages.js";
import { html, useEffect, useState, useValue } from "../shared/view.js";
import { PersonButton } from "./bar.js";
import { ownKey } from "./credential.js";
import { acting, signOutPerson } from "./people.js";
import { keepIfRoom, kept } from "./store.js";

/**
 * @param {{ owner: string, access: string[], lost: string | null, isAsking: boolean, onChoose: (name: string) => void,
 *   onLeave: () => void }} props `lost` is a workplace that the caller has no access to any more. Unless `isAsking`, one
 *   that is the only one needs no choice.
 */
export function ChooseWorkplace({ owner, access, lost, isAsking, onChoose, onLeave }) {
  const [names, setNames] = useState(/** @type {string[] | null} */ (null));
  const [wanted, setWanted] = useState("");
  const person = useValue(acting);
  const isAll = access.includes("*");
  useEffect(() => {
    if (!isAll) {
      setNames(access.toSorted((a, b) => a.localeCompare(b)));
      const [only, another] = access;
      if (only !== undefined && another === undefined && lost === null && !isAsking) onChoose(only);
      return;
    }
    list("/workplaces/v1", { active: true }).then((rows) => {
      const all = rows.map((/** @type {any} */ row) => row.name);
      setNames(all);
      keepIfRoom(`${owner}/workplaces`, all);
    }, async () => setNames(await kept(`${owner}/workplaces`) ?? []));
  }, [isAll, access.join("\n")]);
  const shown = names?.filter((one) => one.toLowerCase().includes(wanted.toLowerCase())) ?? [];
  return html`
    <section class="stack choose">
      <h1>${t("terminal.choose")}</h1>
      ${person !== null && html`
        <p>
          <${PersonButton} person=${person} onSignIn=${signOutPerson} />
        </p>
      `}
      ${lost !== null && html`<p class="banner stop" role="alert">${t("terminal.lost", { workplace: lost })}</p>`}
      ${names !== null && names.length > 12 && html`
        <label>${t("terminal.search")}
          <input class="big" type="search" value=${wanted} onInput=${(/** @type {any} */ event) =>
            setWanted(event.currentTarget.value)} />
        </label>
      `}
      <div class="places">
        ${shown.map((one) => html`<button key=${one} class="big" onClick=${() => onChoose(one)}>${one}</button>`)}
      </div>
      ${names?.length === 0 && html`<p class="banner wait">${t("terminal.choose_none")}</p>`}
      ${ownKey !== null && html`<p><button class="quiet" onClick=${onLeave}>${t("terminal.key_remove")}</button></p>`}
    </section>
  `;
}
