import { Table, count, h, lane, moment, number, seconds } from "./dom.js";
import { data, follow, get, main, post, root, tell } from "./service.js";

const flower = data.overview.flower;
const chosen = new Set();
const queue = (name) => (name.includes("|") ? name.replace(".", " ").split(" ").map(lane).join(" ") : name);


const queues = new Table("Queues", [
  { head: "Queue", label: "", cell: (one) => queue(one.queue) },
  { head: "Waiting", class: "n", cell: (one) => number(one.waiting) },
  { head: "Worked on", class: "n", cell: (one) => number(one.claims) },
], (one) => one.queue, { none: "No queue yet." });

const leases = new Table("Claims under way", [
  { head: "Queue", label: "", cell: (one) => queue(one.queue) },
  { head: "Worker", cell: (one) => (one.worker ? (flower ? h("a", { href: `${flower}/worker/${encodeURIComponent(one.worker)}`, rel: "noreferrer" }, one.worker) : one.worker) : h("span", { class: "note" }, "waits for one")) },
  { head: "Task", class: "mono", cell: (one) => (one.task && flower ? h("a", { href: `${flower}/task/${encodeURIComponent(one.task)}`, rel: "noreferrer" }, one.task.slice(0, 8)) : one.task.slice(0, 8)) },
  { head: "Jobs", class: "n", cell: (one) => count(one.jobs) },
  { head: "Not yet given back", class: "n", cell: (one) => count(one.members) },
  { head: "Lease ends in", class: "n", cell: (one) => seconds(one.expires_in) },
], (one) => `${one.queue} ${one.worker} ${one.task} ${one.jobs}`, { none: "Nothing is worked on just now." });

const causes = new Table("Dead letters by cause", [
  { head: "Cause", label: "", class: "long wide", cell: (one) => one.cause },
  { head: "Stage", cell: (one) => one.stage },
  { head: "Letters", class: "n", cell: (one) => count(one.count) },
  { head: "For example", class: "w", cell: (one) => one.examples.join(", ") },
  { head: "First", class: "n", cell: (one) => moment(one.first) },
  { head: "Last", class: "n", cell: (one) => moment(one.last) },
], (one) => `${one.stage} ${one.cause}`, { none: "Nothing is set aside." });

const letters = new Table("Dead letters", [
  { head: h("span", { class: "unseen" }, "Choose"), label: "", cell: (one) => h("input", { type: "checkbox", "aria-label": `Choose job ${one.job}, ${one.stage}`, checked: chosen.has(one.name),
    onchange: (event) => { if (event.target.checked) chosen.add(one.name); else chosen.delete(one.name); showActs(); } }) },
  { head: "Job", label: "", cell: (one) => h("a", { href: `${root}/jobs/${one.repository}/${one.master}${one.sub === null ? "" : `?sub=${one.sub}`}` }, one.job) },
  { head: "Stage", cell: (one) => one.stage },
  { head: "Reason", class: "long wide", cell: (one) => h("span", { class: "clip", title: one.reason }, one.reason) },
  { head: "Set aside", class: "n", cell: (one) => moment(one.at) },
  { head: h("span", { class: "unseen" }, "Retry"), label: "", cell: (one) => h("button", { type: "button", "aria-label": `Retry job ${one.job}, ${one.stage}`, onclick: (event) => retry(event.target, { names: [one.name] }) }, "Retry") },
], (one) => one.name, { none: "Nothing is set aside.", header: 1 });

let dead = data.page?.dead ?? { total: 0, causes: [], letters: [] };
const some = h("button", { type: "button", onclick: () => retry(some, { names: [...chosen] }) });
const all = h("button", { type: "button", onclick: () => retry(all, { everything: true }) });
const acts = h("div", { class: "tools" }, some, all);
const heading = h("h2", {}, "Dead letters");

function showActs() {
  for (const name of chosen) if (!dead.letters.some((letter) => letter.name === name)) chosen.delete(name);
  some.textContent = chosen.size ? `Retry the ${count(chosen.size)} chosen` : "Retry those chosen";
  some.disabled = chosen.size === 0;
  all.textContent = `Retry all ${count(dead.total)}`;
  acts.hidden = dead.total === 0;
}

async function retry(button, what) {
  button.disabled = true;
  if (await post("/dead/retry", what)) chosen.clear();
  await load();
  if (button.isConnected) button.disabled = false;
  heading.scrollIntoView({ block: "nearest" });
}

function show({ queues: found, dead: set }) {
  queues.show(found.queues);
  leases.show(found.leases);
  dead = set;
  causes.show(dead.causes);
  letters.show(dead.letters);
  letters.node.hidden = dead.total === 0;
  showActs();
}

async function load() {
  try {
    const [found, set] = await Promise.all([get("/queues"), get("/dead")]);
    show({ queues: found, dead: set });
  } catch (error) {
    tell(error.message);
  }
}

const part = (head, note, ...nodes) => h("section", {}, head instanceof Node ? head : h("h2", {}, head, h("span", { class: "sub" }, note)), ...nodes);
heading.append(h("span", { class: "sub" }, "what breaks the query, or kills its worker, waits here until it is retried"));
main.replaceChildren(h("div", { class: "head" }, h("h1", {}, "Queues"), flower ? h("p", { class: "sub" }, h("a", { href: flower, rel: "noreferrer" }, "Tasks and workers in Flower")) : ""),
  part(heading, "", acts, causes.node, letters.node),
  part("Waiting", "by queue", queues.node),
  part("Under way", "each claim is a lease: if its worker dies, it is taken back", leases.node));
if (data.page) show({ queues: data.page.queues, dead: data.page.dead });
follow(() => {}, load);
setInterval(() => { if (!document.hidden) load(); }, 4000);
