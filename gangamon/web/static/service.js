// What every page has: its first data, the API, the stream of updates, the state of the service.
import { clean, h, seconds } from "./dom.js";

export const data = JSON.parse(document.getElementById("data").textContent);
export const main = document.getElementById("main");
/** What goes before every address of ours where the page stands below another's. */
export const root = document.body.dataset.root;
const token = document.querySelector('meta[name="token"]').content;
const told = document.getElementById("told");
const service = document.getElementById("service");

/** Tell of what went wrong, or (empty) that it is over. */
export function tell(text) {
  told.textContent = clean(text);
}

/** Said to those who cannot see what has changed. */
export function announce(text) {
  document.getElementById("news").textContent = clean(text);
}

async function ask(path, options = {}) {
  const answer = await fetch(`${root}/api/v1${path}`, { headers: { Accept: "application/json", ...options.headers }, ...options });
  if (answer.status === 401) {
    location.assign(`${root}/login?to=${encodeURIComponent(location.pathname + location.search)}`);
    throw new Error("logged out");
  }
  const body = await answer.json().catch(() => ({ error: answer.statusText }));
  if (!answer.ok) throw new Error(body.error ?? answer.statusText);
  return body;
}

export const get = (path) => ask(path);

/** Have something done. What comes of it is told; true if it was done. */
export async function post(path, body = {}) {
  try {
    const done = await ask(path, { method: "POST", body: JSON.stringify(body),
      headers: { "Content-Type": "application/json", "X-CSRF-Token": token } });
    tell(done.done ? "" : done.text);
    if (done.done) announce(done.text);
    return done.done;
  } catch (error) {
    tell(error.message);
    return false;
  }
}

let tickAge = data.overview.tick_age ?? null, tickAt = performance.now(), away = data.overview.away ?? "", cut = false;

function showService() {
  const age = tickAge === null ? null : tickAge + (performance.now() - tickAt) / 1000;
  const late = age === null || age > 30;
  service.className = `service ${away || cut || late ? "ill" : "well"}`;
  const text = away ? "The store is away" : cut ? "Not connected; trying again"
    : age === null ? "The service has not ticked yet" : late ? `No tick for ${seconds(age)}` : "Live";
  if (service.textContent !== text) service.textContent = text;
}

/** Follow the updates. ``take(event)``: see /api/v1/openapi.json, events; ``anew()``: everything may be other than shown. */
export function follow(take, anew) {
  let source = null, missed = false;
  const open = () => {
    source = new EventSource(`${root}/api/v1/events`);
    source.onopen = () => { cut = false; showService(); document.documentElement.dataset.live = "yes"; };
    source.onerror = () => {
      cut = missed = true;
      document.documentElement.dataset.live = "no";
      showService();
      if (source.readyState === EventSource.CLOSED) { source.close(); source = null; setTimeout(() => { if (!source && !document.hidden) open(); }, 3000); }
    };
    source.onmessage = (message) => {
      const event = JSON.parse(message.data);
      // The first: was anything told between what the page came with and this stream?
      if ("told" in event) { if (missed || event.told !== data.told) anew(); missed = false; }
      if ("tick_age" in event) { tickAge = event.tick_age; tickAt = performance.now(); away = ""; }
      if ("away" in event) away = event.away;
      if (event.again) { away = ""; tell(""); anew(); }
      showService();
      take(event);
    };
  };
  // A page that nobody sees asks for nothing.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { source?.close(); source = null; missed = true; }
    else if (!source) open();
  });
  open();
}

// Colours: as the system, light, dark.
const THEMES = { "": "Auto", light: "Light", dark: "Dark" };
const button = document.getElementById("theme");
function showTheme() {
  const theme = document.documentElement.dataset.theme ?? "";
  button.textContent = THEMES[theme];
  button.setAttribute("aria-label", `Colours: ${theme || "as the system"}`);
}
button.addEventListener("click", () => {
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(document.documentElement.dataset.theme ?? "") + 1) % names.length];
  if (next) { document.documentElement.dataset.theme = next; localStorage.setItem("theme", next); }
  else { delete document.documentElement.dataset.theme; localStorage.removeItem("theme"); }
  showTheme();
});

// Keys, where nothing is typed.
const KEYS = [["/", "search"], ["j k", "next, previous row"], ["Enter", "open the row"], ["[ ]", "previous, next page"], ["Esc", "close"], ["?", "these keys"]];
const help = h("dialog", { "aria-labelledby": "keys" }, h("h2", { id: "keys" }, "Keys"),
  h("dl", { class: "facts" }, KEYS.map(([key, what]) => [h("dt", {}, key.split(" ").map((k) => [h("kbd", {}, k), " "]).flat()), h("dd", {}, what)]).flat()),
  h("form", { method: "dialog", class: "act" }, h("button", {}, "Close")));
document.body.append(help);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
  if (event.key === "/") { const field = main.querySelector('input[type="search"]'); if (field) { event.preventDefault(); field.focus(); field.select(); } }
  else if (event.key === "?") help.showModal();
  else if (event.key === "j" || event.key === "k") {
    const rows = [...main.querySelectorAll("tbody tr")].filter((row) => row.offsetParent && row.querySelector("a, button, input"));
    const at = rows.indexOf(document.activeElement?.closest("tr"));
    const row = rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + (event.key === "j" ? 1 : -1)))];
    row?.querySelector("a, button, input")?.focus();
  } else if (event.key === "[" || event.key === "]") main.querySelector(event.key === "[" ? "button.previous" : "button.next")?.click();
});

showTheme();
showService();
setInterval(showService, 5000);
