import { Table, count, h, s, seconds } from "./dom.js";
import { data, follow, get, main, post, tell } from "./service.js";

const percent = (part) => (part === null || part === undefined ? "–" : `${(100 * part).toFixed(part < 0.1 ? 1 : 0)} %`);
const words = (lane) => {
  const wait = lane.tried_in === null ? "" : `, tried again in ${seconds(lane.tried_in)}`;
  if (lane.paused) return ["Paused", `${lane.paused}${wait || ", until resumed"}`];
  if (lane.breaker_open) return ["Resting", `${lane.error}${wait}`];
  if (lane.failures) return [`Failed ${count(lane.failures)}×`, lane.error];
  return ["Asked", ""];
};

function spark(lane) {
  const calls = lane.calls.slice(-60);
  if (calls.length < 2) return "";
  const means = calls.map(([minute, n, took]) => [minute, n ? took / n : 0]);
  const most = Math.max(...means.map(([, mean]) => mean), 0.001), from = means[0][0], span = Math.max(1, means.at(-1)[0] - from);
  const path = means.map(([minute, mean], at) => `${at ? "L" : "M"}${(((minute - from) / span) * 140).toFixed(1)} ${(21 - (mean / most) * 20).toFixed(1)}`).join("");
  return s("svg", { class: "spark", viewBox: "0 0 140 22", preserveAspectRatio: "none", role: "img",
    "aria-label": `Seconds of a query over the last ${span + 1} minutes, at most ${seconds(most)} on average in a minute` }, s("path", { d: path }));
}

const table = new Table("Lanes", [
  { head: "Lane", label: "", cell: (lane) => [lane.backend, h("div", { class: "note" }, lane.endpoint, lane.credential === "-" ? "" : ` · ${lane.credential}`)] },
  { head: "State", label: "", class: "long wide", cell: (lane) => { const [state, why] = words(lane); return [h("span", { class: state === "Asked" ? "state" : "state ill" }, state), why ? h("div", { class: "note" }, why) : ""]; } },
  { head: "Interval", class: "n", cell: (lane) => seconds(lane.interval) },
  { head: "Asked", class: "n", cell: (lane) => (lane.asked_ago === null ? "never" : `${seconds(lane.asked_ago)} ago`) },
  { head: "Query", class: "n", cell: (lane) => seconds(lane.query) },
  { head: "Query time, last hour", class: "wide", cell: spark },
  { head: "A minute", class: "n", cell: (lane) => lane.asked.per_minute_mean.toFixed(1) },
  { head: "Budget used", class: "n", cell: (lane) => percent(lane.asked.budget_used) },
  { head: "Batches", class: "n", cell: (lane) => count(lane.waiting) },
  { head: "Claims", class: "n", cell: (lane) => count(lane.claims) },
  { head: "Lag p50", class: "n", cell: (lane) => seconds(lane.lag_p50) },
  { head: "p95", class: "n", label: "Lag p95", cell: (lane) => seconds(lane.lag_p95) },
  { head: "p99", class: "n", label: "Lag p99", cell: (lane) => seconds(lane.lag_p99) },
  { head: h("span", { class: "unseen" }, "Pause"), label: "", class: "wide", cell: (lane) => (lane.mine ? button(lane) : "") },
], (lane) => lane.lane, { none: "No lane yet: the first jobs make one." });

function button(lane) {
  return lane.paused || lane.breaker_open
    ? h("button", { type: "button", "aria-label": `Resume ${lane.lane}`, onclick: async (event) => { event.target.disabled = true; await post("/lanes/resume", { lane: lane.lane }); load(); } }, "Resume")
    : h("button", { type: "button", "aria-label": `Pause ${lane.lane}`, onclick: () => pause(lane) }, "Pause");
}

const reason = h("input", { type: "text", id: "reason", maxlength: 200 });
const title = h("h2", { id: "pausing" });
const form = h("form", { method: "dialog" }, title, h("label", { for: "reason" }, "Why, for others to see"), reason,
  h("div", { class: "act" }, h("button", { value: "" , formnovalidate: true }, "Leave it"), h("button", { class: "main", value: "pause" }, "Pause")));
const dialog = h("dialog", { "aria-labelledby": "pausing" }, form);
document.body.append(dialog);
let chosen = null;
// Enter in the field is the first button's otherwise.
reason.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); dialog.close("pause"); } });
dialog.addEventListener("close", async () => {
  if (dialog.returnValue !== "pause") return;
  await post("/lanes/pause", { lane: chosen.lane, reason: reason.value.trim() || "on the job page" });
  load();
});
function pause(lane) {
  chosen = lane;
  title.textContent = `Ask nothing more in ${lane.backend}, ${lane.endpoint}?`;
  reason.value = "";
  dialog.returnValue = "";
  dialog.showModal();
}

async function load() {
  try { table.show(await get("/lanes")); } catch (error) { tell(error.message); }
}

main.replaceChildren(h("div", { class: "head" }, h("h1", {}, "Lanes"), h("p", { class: "sub" }, "How each backend is asked, and how late ends are noticed")), table.node);
table.show(data.page?.lanes ?? []);
follow(() => {}, load);
setInterval(() => { if (!document.hidden) load(); }, 5000);
