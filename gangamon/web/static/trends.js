import { STATUSES, count, h, lane as said, seconds } from "./dom.js";
import { Plot } from "./plot.js";
import { data, follow, get, main, tell } from "./service.js";

const KEPT = 720;
let points = data.page?.points ?? [];
const whole = (value) => (value >= 1e6 ? `${value / 1e6} M` : value >= 1e4 ? `${value / 1e3} k` : count(value));
const states = new Plot("Subjobs by status", "all jobs together", whole, true);
const moved = new Plot("Transitions", "a second, by the status that was reached", (value) => String(Number(value.toPrecision(3))));
const lags = new Plot("Lag", "from an end at the backend to its commit, p95 of each lane", (value) => seconds(value));

function show() {
  const times = points.map((point) => point.at);
  const there = STATUSES.filter((status) => points.some((point) => point.states[status]));
  states.show(times, there.map((status) => ({ name: status, class: status, values: points.map((point) => point.states[status] ?? 0) })));
  const reached = STATUSES.filter((status) => points.some((point) => point.moved[status]));
  const span = (at) => Math.max(1, at ? times[at] - times[at - 1] : 10);
  const LINES = { running: "line0", completed: "line1", killed: "line2", completing: "line3", failed: "line4" };
  moved.show(times, reached.map((status) => ({ name: status, class: LINES[status] ?? "line5", values: points.map((point, at) => (point.moved[status] ?? 0) / span(at)) })));
  const lanes = [...new Set(points.flatMap((point) => Object.keys(point.lags)))].sort();
  lags.show(times, lanes.map((lane, at) => ({ name: said(lane) || "unknown", class: `line${at % 6}`, values: points.map((point) => point.lags[lane]?.[1] ?? null) })));
}

main.replaceChildren(h("div", { class: "head" }, h("h1", {}, "Trends"), h("p", { class: "sub" }, "Since the page was started, two hours at most")), states.node, moved.node, lags.node);
show();
follow((event) => {
  if (!event.point) return;
  points = [...points, event.point].slice(-KEPT);
  show();
}, async () => {
  try { points = await get("/trends"); show(); } catch (error) { tell(error.message); }
});
