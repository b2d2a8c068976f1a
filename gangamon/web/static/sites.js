import { Table, bar, count, h, number } from "./dom.js";
import { follow, get, main, tell } from "./service.js";

const share = (part, all) => (all ? `${((100 * part) / all).toFixed(1)} %` : "–");
const ended = (one) => (one.statuses.completed ?? 0) + (one.statuses.failed ?? 0);
const table = new Table("Sites", [
  { head: "Site", label: "", cell: (one) => one.site || "unknown" },
  { head: "Progress", label: "", class: "wide bars", cell: (one) => bar(one.statuses, one.total) },
  { head: "Subjobs", class: "n", cell: (one) => count(one.total) },
  { head: "Running", class: "n", cell: (one) => number(one.statuses.running) },
  { head: "Completed", class: "n", cell: (one) => number(one.statuses.completed) },
  { head: "Failed", class: "n", cell: (one) => number(one.statuses.failed) },
  { head: "Of the ended failed", class: "n", cell: (one) => share(one.statuses.failed ?? 0, ended(one)) },
], (one) => one.site, { none: "No subjobs yet." });
const note = h("p", { class: "sub", "aria-live": "polite" }, "Counting…");
main.replaceChildren(h("div", { class: "head" }, h("h1", {}, "Sites"), note), table.node);

async function load() {
  try {
    const found = await get("/sites");
    const text = found.counted < found.masters ? `of ${count(found.counted)} of ${count(found.masters)} jobs, the open and the newest` : `of ${count(found.masters)} jobs`;
    if (note.textContent !== text) note.textContent = text;
    table.show(found.rows);
  } catch (error) {
    tell(error.message);
  }
}
load();
follow(() => {}, load);
setInterval(() => { if (!document.hidden) load(); }, 15000);
