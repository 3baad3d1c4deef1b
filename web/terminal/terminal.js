/** The terminal of a workplace. */
import { t, wordsOf } from "../shared/messages.js";
import { html, useEffect, useMemo, useRef, useState, useValue } from "../shared/view.js";
import { LinkButton, PersonButton } from "./bar.js";
import { ChooseWorkplace } from "./choose.js";
import { ReasonDialog, SignInPersonDialog } from "./dialogs.js";
import { idOf, Notices, Stop, StopDialog } from "./notices.js";
import { Operation } from "./operation.js";
import { actions, add } from "./outbox.js";
import { acting } from "./people.js";
import { keyOf, predict } from "./prediction.js";
import { Queue } from "./queue.js";
import { listenToScanner, workOfBarcode } from "./scanner.js";
import { link, me, place, syncSoon, watchPlace } from "./sync.js";
import { Unsent } from "./unsent.js";

const placeKey = "mes.terminal.workplace";

/** @param {{ owner: string, onLeave: () => void }} props */
export function Terminal({ owner, onLeave }) {
  const profile = useValue(me);
  const connection = useValue(link);
  const [name, setName] = useState(localStorage.getItem(placeKey));
  const choose = (/** @type {string | null} */ next) => {
    if (next === null) localStorage.removeItem(placeKey);
    else localStorage.setItem(placeKey, next);
    setName(next);
    setAsking(next === null);
  };
  const [isAsking, setAsking] = useState(false);
  useEffect(() => void watchPlace(name), [name]);
  const access = profile?.may.workplace_access;
  const isMine = name !== null && (access?.includes("*") || access?.includes(name));
  if (profile === null) {
    return connection.problem && html`<p class="banner stop" role="alert">${wordsOf(connection.problem)}</p>`;
  }
  return html`
    ${isMine
      ? html`
        <${Workplace} key=${name} name=${name} owner=${owner} profile=${profile} onChange=${() => choose(null)} />
      `
      : html`
        <${ChooseWorkplace} owner=${owner} access=${access} lost=${name} isAsking=${isAsking}
          onChoose=${choose} onLeave=${onLeave} />
      `}
  `;
}

/**
 * @param {{ name: string, owner: string, profile: any, onChange: () => void }} props
 */
function Workplace({ name, owner, profile, onChange }) {
  const known = useValue(place);
  const all = useValue(actions);
  const person = useValue(acting);
  const [chosen, setChosen] = useState(/** @type {string | null} */ (null));
  // on a phone: the operation alone, as long as something runs; else the queue
  const [isOpened, setOpen] = useState(/** @type {boolean | null} */ (null));
  const [dialog, setDialog] = useState(/** @type {any} */ (null));
  const [notice, setNotice] = useState("");
  const mine = useMemo(() => all.filter((one) => one.owner === owner), [all, owner]);
  const work = useMemo(
    () => known?.workplace.name === name ? predict(known, mine, profile.may.actions) : null,
    [known, mine, profile, name],
  );
  const canSignIn = profile.scopes?.includes("people:act") || (profile.scopes === null && profile.role === "machine");
  const close = () => setDialog(null);

  /** @param {any} doing @param {any} [operation] */
  const onDo = async (doing, operation) => {
    setNotice("");
    const target = operation
      ? { order_no: operation.order_no, operation_no: operation.operation_no, asset_id: operation.asset_id }
      : {};
    const run = operation && known?.runs.find((one) => keyOf(one) === keyOf(operation));
    try {
      await add({ ...doing, ...target, workplace_name: name }, { owner, person, notBefore: run?.started_at });
    } catch {
      // a full disk: nobody may believe that it was reported
      setNotice(t("terminal.not_kept"));
    }
    syncSoon();
  };

  const scan = useRef((/** @type {string} */ _text) => {});
  scan.current = (text) => {
    const found = workOfBarcode(text, work?.works ?? []);
    if (found) {
      close();
      setNotice("");
      setChosen(found.key);
      setOpen(true);
    } else if (canSignIn) setDialog({ kind: "person", badge: text });
    else setNotice(t("terminal.scan_unknown", { code: text.slice(0, 64) }));
  };
  useEffect(() => listenToScanner((text) => scan.current(text)), []);

  const current = work?.works.find(({ key }) => key === chosen) ?? work?.works[0];
  useEffect(() => {
    // a queue that changes its order changes nothing under the finger
    if (current && current.key !== chosen) setChosen(current.key);
  }, [current?.key]);

  if (work === null) return html`<p class="banner" role="status">${t("terminal.reading", { workplace: name })}</p>`;
  const isOpen = isOpened ?? current?.operation.status === "IN_PROGRESS";
  const onChoose = (/** @type {string} */ key) => {
    setChosen(key);
    setOpen(true);
  };
  return html`
    <div class=${`work ${isOpen ? "open" : ""}`}>
      <h1 class="visually-hidden">${t("terminal.title")}: ${name}</h1>
      <div class="bar">
        <button class="big place" onClick=${onChange}>
          <span><small>${t("terminal.workplace")}</small>${name}</span>
        </button>
        ${canSignIn &&
          html`<${PersonButton} person=${person} onSignIn=${() => setDialog({ kind: "person", badge: null })} />`}
        <${LinkButton} owner=${owner} onOpen=${() => setDialog({ kind: "unsent" })} />
      </div>
      <div class="notices">
        <div class="notices" role="status">
          <${Notices} owner=${owner} onOpen=${() => setDialog({ kind: "unsent" })} />
          ${notice && html`<p class="banner stop">${notice}</p>`}
        </div>
        <${Stop} stop=${work.stop} may=${profile.may.downtime_actions} onDo=${onDo} onExplain=${() =>
          setDialog({ kind: "explain" })} />
      </div>
      <div class="columns">
        <section class="list" aria-labelledby="queue-title">
          <header class="list-head">
            <h2 id="queue-title">${t("terminal.queue")}</h2>
            ${!work.stop && profile.may.downtime_actions.includes("DOWNTIME_START") && html`
              <button class="big" onClick=${() => setDialog({ kind: "stop" })}>
                ${t("terminal.stand_still")}
              </button>
            `}
          </header>
          <${Queue} works=${work.works} chosen=${current?.key ?? null} onChoose=${onChoose} />
        </section>
        ${current && html`
          <${Operation} key=${current.key} work=${current} onDo=${onDo} onBack=${() => setOpen(false)} />
        `}
      </div>
      ${dialog?.kind === "unsent" && html`
        <${Unsent} owner=${owner} onClose=${close} onSignIn=${(/** @type {any} */ who) =>
          setDialog({ kind: "person", badge: null, name: who.display_name })} />
      `}
      ${dialog?.kind === "person" && html`
        <${SignInPersonDialog} key=${dialog.badge} badge=${dialog.badge} name=${dialog.name} onClose=${close} />
      `}
      ${dialog?.kind === "stop" && html`<${StopDialog} running=${work.running} onDo=${onDo} onClose=${close} />`}
      ${dialog?.kind === "explain" && html`
        <${ReasonDialog}
          title=${t("terminal.explain")}
          kind="DOWNTIME"
          onChoose=${(/** @type {string} */ code) => {
            close();
            onDo({ action_type: "DOWNTIME_CLASSIFY", reason_code: code, ...idOf(work.stop) });
          }}
          onClose=${close}
        />
      `}
    </div>
  `;
}
