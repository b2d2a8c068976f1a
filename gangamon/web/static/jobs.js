import { Table, bar, count, h, lane, later, number, soon, status } from "./dom.js";
import { address, Pager } from "./pager.js";
import { announce, data, follow, get, main, root, tell } from "./service.js";

const asked = new URLSearchParams(location.search);
const wanted = { status: asked.get("status") ?? "", text: asked.get("text") ?? "", first: Number(asked.get("first") ?? 0) };
let rows = data.page?.jobs.rows ?? [], total = data.page?.jobs.total ?? 0, sums = data.overview.sums ?? {};
const several = new Set(rows.map((row) => row.repository)).size > 1;

const where = (row) => `${root}/jobs/${row.repository}/${row.job}`;
const columns = [
  { head: "Job", label: "", class: "name", cell: (row) => h("a", { href: where(row) }, row.job, row.name ? ` ${row.name}` : "") },
  { head: "Status", label: "", cell: (row) => status(row.status, row.observed ? " (observed)" : "") },
  { head: "Progress", label: "", class: "wide bars", cell: (row) => bar(row.subjobs, row.total) },
  { head: "Ended", class: "n", cell: (row) => `${count(row.done)} / ${count(row.total)}` },
  { head: "Running", class: "n", cell: (row) => number(row.subjobs.running) },
  { head: "Failed", class: "n", cell: (row) => number(row.subjobs.failed) },
  { head: "Stage", class: "w", cell: (row) => (row.ended || row.phase === "open" ? "" : row.phase) },
  { head: "Lane", class: "short", cell: (row) => lane(row.lane) },
];
if (several) columns.push({ head: "Repository", class: "mono", cell: (row) => row.repository.slice(0, 8) });
const table = new Table("Master jobs", columns, where, { none: "No jobs here. Submit one in Ganga, or widen the filter." });
const pager = new Pager(50, (first) => { wanted.first = first; load(); });

const figures = h("dl", { class: "figures" });
function showFigures() {
  const some = [["subjobs", Object.values(sums).reduce((a, b) => a + b, 0)], ...["running", "submitted", "completing", "completed", "failed", "killed"].map((name) => [name, sums[name] ?? 0])];
  figures.replaceChildren(...some.filter(([name, n]) => n || ["subjobs", "running", "completed", "failed"].includes(name))
    .map(([name, n]) => h("div", {}, h("dt", {}, name === "subjobs" ? name : status(name)), h("dd", {}, count(n)))));
}

const search = h("input", { type: "search", id: "search", placeholder: "Number, name or lane", "aria-label": "Search jobs by number, name or lane", value: wanted.text });
search.addEventListener("input", later(() => { wanted.text = search.value; wanted.first = 0; load(); }, 200));
const choice = h("select", { "aria-label": "Status" }, [["", "All statuses"], ["open", "Not ended"], ["running", "Running"], ["completed", "Completed"], ["failed", "Failed"], ["killed", "Killed"]]
  .map(([value, text]) => h("option", { value, selected: value === wanted.status }, text)));
choice.addEventListener("change", () => { wanted.status = choice.value; wanted.first = 0; load(); });

function show(flash = false) {
  table.show(rows, flash);
  pager.show(wanted.first, rows.length, total);
}

let turn = 0;
const recent = new Map();
async function load(flash = false) {
  const mine = ++turn, query = address(wanted);
  recent.clear();
  try {
    const found = await get(`/jobs?${query}`);
    if (mine !== turn) return;
    // What was told meanwhile is not older than the answer.
    rows = found.rows.map((row) => recent.get(where(row)) ?? row);
    total = found.total;
    show(flash === true);
    tell("");
  } catch (error) {
    tell(error.message);
  }
}

main.replaceChildren(h("div", { class: "head" }, h("h1", {}, "Jobs")), figures,
  h("div", { class: "tools" }, h("div", { class: "search" }, search), choice), table.node, pager.node);
showFigures();
show();

const again = soon(() => load(true));
follow((event) => {
  if (event.sums) { sums = event.sums; showFigures(); }
  if (event.gone?.length) again();
  if (!event.masters) return;
  const changed = new Map(event.masters.map((row) => [where(row), row]));
  for (const [key, row] of changed) recent.set(key, row);
  const seen = new Set(rows.map(where));
  // Rows that are shown change in place; a new one, or one that a filter may let in, is asked for.
  for (const row of event.masters) {
    const old = rows.find((one) => where(one) === where(row));
    if (old && !old.ended && row.ended) announce(`Job ${row.job} is ${row.status}`);
  }
  rows = rows.map((row) => changed.get(where(row)) ?? row);
  table.show(rows, true);
  if (wanted.status || event.masters.some((row) => !seen.has(where(row)))) again();
}, load);
