/** The chosen operation: how far it is, and the buttons for what may be done next. */
import { duration, number, time } from "../shared/formats.js";
import { t } from "../shared/messages.js";
import { State } from "../shared/state.js";
import { html, useNow, useState } from "../shared/view.js";
import { serverNow } from "./clock.js";
import { QuantityDialog, ReasonDialog } from "./dialogs.js";
import { blockOf, entryOf, stateOf } from "./queue.js";

/** @typedef {import("./prediction.js").Work} Work */
/** @typedef {Partial<import("./types.js").Item> & { action_type: string }} Doing */

/** Shapes of the buttons, in a box of 24 by 24. */
const shapes = /** @type {Readonly<Record<string, string>>} */ ({
  START: "M6 3l15 9-15 9z",
  SETUP: "M9 3h6v6h6v6h-6v6H9v-6H3V9h6z",
  STOP: "M5 4h5v16H5zM14 4h5v16h-5z",
  REPORT_QUANTITY: "M10 4h4v6h6v4h-6v6h-4v-6H4v-4h6z",
  COMPLETE: "M3 12l3-3 4 4 8-9 3 3L10 20z",
  FINISH: "M5 3h14v11H8v7H5z",
});

/** @param {{ shape: string }} props */
const Shape = ({ shape }) =>
  html`
    <svg viewBox="0 0 24 24" aria-hidden="true">
      <path d=${shapes[shape]} fill="currentColor" />
    </svg>
  `;

/**
 * @param {{ work: Work, onDo: (doing: Doing, operation: any) => Promise<void>, onBack: () => void }} props
 */
export function Operation({ work, onDo, onBack }) {
  const { operation, run, unsent } = work;
  const [dialog, setDialog] = useState(/** @type {string | null} */ (null));
  const [isBusy, setBusy] = useState(false);
  const { tone, text } = stateOf(work);
  const block = blockOf(work);
  const close = () => setDialog(null);

  /** @param {Doing} doing */
  const act = async (doing) => {
    if (isBusy) return;
    setBusy(true);
    close();
    try {
      await onDo(doing, operation);
    } finally {
      setBusy(false);
    }
  };
  const isAllowed = (/** @type {string} */ action) => !isBusy && entryOf(operation, action)?.allowed === true;
  const isShort = operation.qty_desired !== null && operation.qty_good < operation.qty_desired;

  return html`
    <section class="operation card" aria-labelledby="operation-title">
      <header>
        <button class="quiet back" onClick=${onBack}>‹ ${t("terminal.queue")}</button>
        <div class="operation-head">
          <h2 id="operation-title">${operation.order_no} <small>${operation.operation_no}</small></h2>
          <${State} tone=${tone}>${text}<//>
        </div>
        <p class="what">${operation.activity_description ?? operation.activity_code}</p>
        ${isLink(operation.reference_url) && html`
          <p><a class="drawing" href=${operation.reference_url} target="_blank" rel="noopener noreferrer">
            ${t("terminal.drawing")}
          </a></p>
        `}
      </header>
      <${Progress} operation=${operation} run=${run} />
      ${block && html`<p class="banner wait" role="status">${block}</p>`}
      ${unsent > 0 &&
        html`<p class="unsent-note" role="status">${t("terminal.operation_unsent", { count: unsent })}</p>`}
      ${operation.status === "FINISHED" && html`<p class="banner run">${t("terminal.finished")}</p>`}
      <div class="actions">
        ${operation.status === "IN_PROGRESS"
          ? html`
            <button class="main huge" disabled=${!isAllowed("REPORT_QUANTITY")} onClick=${() => setDialog("count")}>
              <${Shape} shape="REPORT_QUANTITY" />${t("terminal.do_count")}
            </button>
            <button class="huge tone-wait" disabled=${!isAllowed("STOP")} onClick=${() => setDialog("stop")}>
              <${Shape} shape="STOP" />${t("terminal.do_stop")}
            </button>
            ${run?.phase === "SETUP"
              ? html`
                <button class="huge tone-run" disabled=${!isAllowed("STOP")} onClick=${() =>
                  act({ action_type: "START", phase: "PROCESSING" })}>
                  <${Shape} shape="START" />${t("terminal.do_start")}
                </button>
              `
              : html`
                <button class="huge tone-setup" disabled=${!isAllowed("STOP")} onClick=${() =>
                  act({ action_type: "START", phase: "SETUP" })}>
                  <${Shape} shape="SETUP" />${t("terminal.do_setup")}
                </button>
              `}
          `
          : ["RELEASED", "ON_HOLD", "PLANNED"].includes(operation.status) && html`
            <button
              class="main huge"
              disabled=${!isAllowed("START")}
              onClick=${() => act({ action_type: "START", phase: "PROCESSING" })}
            ><${Shape} shape="START" />${t("terminal.do_start")}</button>
            <button
              class="huge tone-setup"
              disabled=${!isAllowed("START")}
              onClick=${() => act({ action_type: "START", phase: "SETUP" })}
            ><${Shape} shape="SETUP" />${t("terminal.do_setup")}</button>
            ${isAllowed("REPORT_QUANTITY") && html`
              <button class="huge" onClick=${() => setDialog("count")}>
                <${Shape} shape="REPORT_QUANTITY" />${t("terminal.do_count")}
              </button>
            `}
          `}
        ${isAllowed("COMPLETE") && html`
          <button class="huge" onClick=${() => setDialog("complete")}>
            <${Shape} shape="COMPLETE" />${t("terminal.do_complete")}
          </button>
        `}
        ${isAllowed("FINISH") && html`
          <button class="huge" onClick=${() => isShort ? setDialog("finish") : act({ action_type: "FINISH" })}>
            <${Shape} shape="FINISH" />${t("terminal.do_finish")}
          </button>
        `}
      </div>
      ${dialog === "stop" && html`
        <${ReasonDialog}
          title=${t("terminal.stop_title")}
          kind="STOP"
          isOptional
          onChoose=${(/** @type {string | undefined} */ code) => act({ action_type: "STOP", ...reasonOf(code) })}
          onClose=${close}
        />
      `}
      ${dialog === "finish" && html`
        <${ReasonDialog}
          title=${t("terminal.finish_title")}
          kind="SHORTFALL"
          lead=${t("terminal.short", { count: operation.qty_desired - operation.qty_good })}
          onChoose=${(/** @type {string | undefined} */ code) => act({ action_type: "FINISH", ...reasonOf(code) })}
          onClose=${close}
        />
      `}
      ${(dialog === "count" || dialog === "complete") && html`
        <${QuantityDialog}
          operation=${operation}
          isLast=${dialog === "complete"}
          onBook=${(/** @type {any} */ fields) =>
            act({ action_type: dialog === "complete" ? "COMPLETE" : "REPORT_QUANTITY", ...fields })}
          onClose=${close}
        />
      `}
    </section>
  `;
}

/** @param {string | undefined} code */
const reasonOf = (code) => code === undefined ? {} : { reason_code: code };

/** A link from the ERP may be of any kind. @param {string | null} url */
const isLink = (url) => url !== null && /^https?:\/\//i.test(url);

/** @param {{ operation: any, run: Work["run"] }} props */
function Progress({ operation, run }) {
  useNow(10_000);
  const { qty_good, qty_scrap, qty_desired } = operation;
  const ratio = qty_desired ? Math.min(1, qty_good / qty_desired) : 0;
  return html`
    <div class="progress">
      <dl class="figures">
        <div class="figure-main">
          <dt>${t("terminal.good")}</dt>
          <dd class="numbers">${number(qty_good)}${qty_desired !== null &&
            html`<small> / ${number(qty_desired)}</small>`}</dd>
        </div>
        <div>
          <dt>${t("terminal.scrap")}</dt>
          <dd class="numbers">${number(qty_scrap)}</dd>
        </div>
        <div>
          <dt>${run ? t("terminal.since", { time: time(run.started_at) }) : t("terminal.worked")}</dt>
          <dd class="numbers">${run ? duration(serverNow() - Date.parse(run.started_at)) : worked(operation)}</dd>
        </div>
      </dl>
      ${qty_desired !== null && html`<progress value=${ratio} max="1" aria-label=${t("terminal.progress")}></progress>`}
    </div>
  `;
}

/** @param {any} operation */
function worked({ t_actual_processing_min, t_actual_setup_min }) {
  if (t_actual_processing_min === null && t_actual_setup_min === null) return "–";
  return duration(((t_actual_processing_min ?? 0) + (t_actual_setup_min ?? 0)) * 60_000);
}
