import { STATUSES, Table, bar, count, h, lane, later, moment, number, seconds, soon, status, tabs } from "./dom.js";
import { evidence } from "./evidence.js";
import { Pager } from "./pager.js";
import { announce, data, follow, get, main, post, root, tell } from "./service.js";

const asked = new URLSearchParams(location.search);
const wanted = { status: asked.get("status") ?? "", text: asked.get("text") ?? "", site: asked.get("site"), cause: asked.get("cause") ?? "",
  first: Number(asked.get("first") ?? 0), tab: asked.get("tab") ?? "subjobs", sub: asked.get("sub") ?? "" };
const base = location.pathname.slice(root.length);
let { row, results, lane_state: state, subjobs: page } = data.page ?? { row: null, results: {}, lane_state: "", subjobs: { total: 0, rows: [] } };

// --- the head ---------------------------------------------------------------------------------
const headline = h("h1"), under = h("p", { class: "sub" }), progress = h("div"), legend = h("div", { class: "legend", role: "group", "aria-label": "Subjobs by status" });
const ask = h("button", { type: "button", onclick: async () => { ask.disabled = true; if (await post(`${base}/refresh`)) announce("Asked"); ask.disabled = false; } }, "Ask the backend now");

function showHead() {
  headline.replaceChildren(h("span", {}, `Job ${row.job}${row.name ? ` ${row.name}` : ""}`));
  const parts = [status(row.status), ` · attempt ${row.attempt} · `, h("a", { href: `${root}/lanes` }, lane(row.lane))];
  if (!row.ended && row.phase !== "open") parts.push(` · ${row.phase}`);
  if (row.merging.bytes) parts.push(` · ${merged(row.merging)}`);
  if (row.observed) parts.push(" · only observed");
  if (!row.ended && state && state !== "asked") parts.push(h("span", { class: "state ill" }, ` · lane ${state}`));
  under.replaceChildren(...parts);
  ask.hidden = row.ended;
  progress.replaceChildren(bar(row.subjobs, row.total, true));
  const chosen = new Set(wanted.status.split(",").filter(Boolean));
  for (const name of STATUSES) {
    let button = legend.querySelector(`[data-status="${name}"]`);
    const n = row.subjobs[name] ?? 0;
    if (!button) {
      button = h("button", { type: "button", onclick: () => toggle(name) }, status(name), " ", h("b"));
      button.dataset.status = name;
      legend.append(button);
    }
    button.hidden = !n && !chosen.has(name);
    button.setAttribute("aria-pressed", String(chosen.has(name)));
    button.querySelector("b").textContent = count(n);
  }
}

/** How far the merge is, and how long it may take. */
function merged({ bytes, whole, left }) {
  if (!whole) return "merged while it runs";
  const share = `${Math.min(100, Math.floor(100 * bytes / whole))} % merged`;
  return left === null ? share : `${share}, all in ${seconds(left)}`;
}

function toggle(name) {
  const chosen = new Set(wanted.status.split(",").filter(Boolean));
  if (!chosen.delete(name)) chosen.add(name);
  wanted.status = [...chosen].join(",");
  wanted.first = 0;
  showHead();
  pick("subjobs");
  load();
}

// --- subjobs ----------------------------------------------------------------------------------
const table = new Table("Subjobs", [
  { head: "Subjob", label: "", class: "w", cell: (one) => h("a", { href: `?sub=${one.sub}`, onclick: (event) => { event.preventDefault(); open(one.sub); } }, one.job) },
  { head: "Status", label: "", cell: (one) => status(one.status, one.stale ? " (stale)" : "") },
  { head: "At the backend", class: "mono w", cell: (one) => one.native_id },
  { head: "It says", class: "w", cell: (one) => (one.unmapped ? `${one.native_status} (unknown)` : one.native_status) },
  { head: "Site", class: "short", cell: (one) => one.site },
  { head: "Exit", class: "n", cell: (one) => (one.exit_code === null ? "" : String(one.exit_code)) },
  { head: "Since", class: "n", cell: (one) => moment(one.since) },
  { head: "Ran", class: "n", cell: (one) => (one.started_at && one.ended_at ? seconds(one.ended_at - one.started_at) : "") },
  { head: "Reason", class: "long wide", cell: (one) => (one.reason ? h("span", { class: "clip", title: one.reason }, one.reason) : "") },
], (one) => one.sub, { none: "No subjob is like that.", selected: (one) => String(one.sub) === wanted.sub });
const pager = new Pager(50, (first) => { wanted.first = first; load(); });
const search = h("input", { type: "search", id: "search", placeholder: "Number, id, site or reason", "aria-label": "Search subjobs by number, backend's id, site or reason", value: wanted.text });
search.addEventListener("input", later(() => { wanted.text = search.value; wanted.first = 0; load(); }, 250));
const filters = h("div", { class: "tools" });
const side = h("aside", { class: "inspect", hidden: true, tabindex: -1, "aria-label": "Evidence" });
const split = h("div", { class: "split" }, h("div", {}, table.node, pager.node), side);

function showFilters() {
  const chips = [];
  const chip = (text, drop) => h("button", { type: "button", "aria-label": `Remove the filter ${text}`, onclick: () => { drop(); wanted.first = 0; load(); } }, text, " ×");
  if (wanted.site !== null) chips.push(chip(`site: ${wanted.site || "unknown"}`, () => { wanted.site = null; }));
  if (wanted.cause) chips.push(chip(`cause: ${wanted.cause.replace(/\|[^|]*$/, "").slice(0, 60)}`, () => { wanted.cause = ""; }));
  filters.replaceChildren(h("div", { class: "search" }, search), ...chips);
}

function query() {
  const some = { status: wanted.status, text: wanted.text, cause: wanted.cause, first: wanted.first };
  const found = new URLSearchParams(Object.entries(some).filter(([, value]) => value));
  if (wanted.site !== null) found.set("site", wanted.site);
  return found;
}

function remember(push = false) {
  const found = query();
  if (wanted.tab !== "subjobs") found.set("tab", wanted.tab);
  if (wanted.sub !== "") found.set("sub", wanted.sub);
  const url = found.size ? `?${found}` : location.pathname;
  if (push) history.pushState(null, "", url); else history.replaceState(null, "", url);
}

let turn = 0;
async function load(flash = false) {
  const mine = ++turn;
  remember();
  showFilters();
  try {
    const found = await get(`${base}/subjobs?${query()}`);
    if (mine !== turn) return;
    page = found;
    show(flash === true);
    tell("");
  } catch (error) {
    tell(error.message);
  }
}

function show(flash = false) {
  table.show(page.rows, flash);
  pager.show(wanted.first, page.rows.length, page.total);
}

// --- one subjob -------------------------------------------------------------------------------
async function open(sub, push = true) {
  wanted.sub = String(sub);
  if (push) remember();
  mark();
  try {
    const story = await get(`${base}/subjobs/${sub}`);
    if (wanted.sub !== String(sub)) return;
    const close = h("button", { type: "button", class: "quiet", onclick: shut, "aria-label": "Close the evidence" }, "Close");
    const first = side.hidden;
    side.replaceChildren(...evidence(story, close));
    side.hidden = false;
    split.classList.add("open");
    if (first && push) side.focus();
  } catch (error) {
    tell(error.message);
  }
}

function mark() {
  for (const [key, { node }] of table.shown) node.toggleAttribute("aria-selected", false), key === wanted.sub && node.setAttribute("aria-selected", "true");
}

function shut() {
  const old = wanted.sub;
  wanted.sub = "";
  side.hidden = true;
  split.classList.remove("open");
  remember();
  mark();
  table.shown.get(old)?.node.querySelector("a")?.focus();
}
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !side.hidden && !document.querySelector("dialog[open]")) shut(); });

// --- failures, sites, results -----------------------------------------------------------------
const narrowed = (change) => (event) => { event.preventDefault(); Object.assign(wanted, { status: "", text: "", site: null, cause: "", first: 0 }, change); search.value = wanted.text; showHead(); pick("subjobs"); load(); };
const causes = new Table("Failed and killed subjobs by cause", [
  { head: "Cause", label: "", class: "long wide", cell: (one) => h("a", { href: `?cause=${encodeURIComponent(one.key)}`, onclick: narrowed({ cause: one.key }) }, one.cause) },
  { head: "Subjobs", class: "n", cell: (one) => count(one.count) },
  { head: "Exit", class: "n", cell: (one) => (one.exit_code === null ? "" : String(one.exit_code)) },
  { head: "Sites", cell: (one) => Object.entries(one.sites).map(([site, n]) => `${site || "unknown"} (${count(n)})`).join(", ") },
  { head: "For example", class: "w", cell: (one) => one.examples.join(", ") },
  { head: "First", class: "n", cell: (one) => moment(one.first) },
  { head: "Last", class: "n", cell: (one) => moment(one.last) },
], (one) => one.key, { none: "No subjob has failed." });
const sites = new Table("Subjobs by site", [
  { head: "Site", label: "", cell: (one) => h("a", { href: `?site=${encodeURIComponent(one.site)}`, onclick: narrowed({ site: one.site }) }, one.site || "unknown") },
  { head: "Progress", label: "", class: "wide bars", cell: (one) => bar(one.statuses, one.total) },
  { head: "Subjobs", class: "n", cell: (one) => count(one.total) },
  { head: "Running", class: "n", cell: (one) => number(one.statuses.running) },
  { head: "Completed", class: "n", cell: (one) => number(one.statuses.completed) },
  { head: "Failed", class: "n", cell: (one) => number(one.statuses.failed) },
], (one) => one.site, { none: "No site is known yet." });
const said = h("div");

const panels = {
  subjobs: h("div", { id: "panel-subjobs", role: "tabpanel", "aria-labelledby": "tab-subjobs" }, filters, split),
  causes: h("div", { id: "panel-causes", role: "tabpanel", "aria-labelledby": "tab-causes" }, causes.node),
  sites: h("div", { id: "panel-sites", role: "tabpanel", "aria-labelledby": "tab-sites" }, sites.node),
  results: h("div", { id: "panel-results", role: "tabpanel", "aria-labelledby": "tab-results" }, said),
};
const LOADS = {
  subjobs: async () => {},
  causes: async () => causes.show(await get(`${base}/causes`), true),
  sites: async () => sites.show((await get(`${base}/sites`)).rows, true),
  results: async () => {
    ({ results, lane_state: state } = await get(base));
    showHead();
    said.replaceChildren(Object.keys(results).length ? h("pre", {}, ...JSON.stringify(results, null, 2).split("\n").flatMap((line) => [line, h("br")])) : h("p", { class: "note" }, "Merge, check and notify have not run yet."));
  },
};
async function refresh() {
  try { await LOADS[wanted.tab](); } catch (error) { tell(error.message); }
}
const bars = tabs("About this job", [["subjobs", "Subjobs"], ["causes", "Failures by cause"], ["sites", "Sites"], ["results", "Merge and checks"]], (key) => {
  wanted.tab = key;
  for (const [name, panel] of Object.entries(panels)) panel.hidden = name !== key;
  remember();
  refresh();
});
const pick = (key) => bars.pick(key);

// --- together ---------------------------------------------------------------------------------
if (row) {
  main.replaceChildren(h("div", { class: "head" }, headline, under, h("div", { class: "act" }, ask)), progress, legend, bars.node, ...Object.values(panels));
  showHead();
  showFilters();
  show();
  pick(panels[wanted.tab] ? wanted.tab : "subjobs");
  if (wanted.sub !== "") open(wanted.sub, false);
}

// At most one page in two seconds however much moves; what is seen moves at once.
// What the server keeps of sweeps over all subjobs is at most two seconds old: then it knows of what was told.
const again = soon(() => (wanted.tab === "subjobs" ? load(true) : refresh()), 2000, 2200);
let heads = 0;
const mine = base.replace("/jobs/", "");
follow((event) => {
  if (!row) return;
  for (const one of event.masters ?? []) {
    if (`${one.repository}/${one.job}` !== mine) continue;
    if (!row.ended && one.ended) announce(`Job ${one.job} is ${one.status}`);
    row = one;
    heads += 1;
    showHead();
  }
  if (!event.subs || !(mine in event.subs)) return;
  const moved = event.subs[mine];
  if (moved) {
    page.rows = page.rows.map((one) => (one.sub in moved && moved[one.sub] !== one.status ? { ...one, status: moved[one.sub] } : one));
    if (wanted.tab === "subjobs") table.show(page.rows, true);
    if (wanted.sub in moved && !side.hidden) open(wanted.sub, false);
  }
  const seen = !moved || wanted.status || wanted.text || wanted.cause || page.rows.some((one) => one.sub in moved);
  if (seen || wanted.tab !== "subjobs") again();
}, async () => {
  load();
  const before = heads;
  try {
    const found = await get(base);
    if (before === heads) ({ row } = found);  // else what was told meanwhile is not older
    ({ results, lane_state: state } = found);
    showHead();
  } catch (error) {
    tell(error.message);
  }
});
