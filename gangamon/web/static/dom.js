// Building what is shown. Text only ever becomes a text node or an attribute: never markup.

const SVG = "http://www.w3.org/2000/svg";
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** Text with what would hide, turn round or control written out. */
export function clean(value) {
  return String(value).replace(HIDDEN, (c) => {
    const code = c.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : clean(value));
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : clean(child));
  }
  return node;
}

/** An element: attributes (on... are listeners), then children. */
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** The same, of a drawing. */
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

export const STATUSES = ["completed", "failed", "killed", "completing", "running", "submitted", "submitting"];

/** How far a job is: a drawing, with the same in words. */
export function bar(subjobs, total, tall = false) {
  const said = STATUSES.filter((status) => subjobs[status]).map((status) => `${count(subjobs[status])} ${status}`);
  const node = s("svg", { class: tall ? "bar tall" : "bar", viewBox: "0 0 1000 10", preserveAspectRatio: "none",
    role: "img", "aria-label": `of ${count(total)}: ${said.join(", ") || "nothing yet"}` });
  node.append(s("rect", { class: "rest", width: 1000, height: 10 }));
  let x = 0;
  for (const status of STATUSES) {
    if (!subjobs[status] || !total) continue;
    const width = Math.max(3, (1000 * subjobs[status]) / total);
    node.append(s("rect", { class: status, x: Math.min(x, 997), width, height: 10 }));
    x += (1000 * subjobs[status]) / total;
  }
  return node;
}

export const status = (name, more = "") => h("span", { class: `status ${/^[a-z]+$/.test(name) ? name : ""}` }, name || "–", more);

const NUMBER = new Intl.NumberFormat("en");
export const count = (value) => NUMBER.format(value);
export const number = (value) => (value ? count(value) : h("span", { class: "zero" }, "0"));

/** A lane as people say it: backend, endpoint, credential. */
export const lane = (name) => name.split("|").map((part) => { try { return decodeURIComponent(part); } catch { return part; } })
  .filter((part) => part !== "-").join(" · ");

/** A span of seconds as people say it. */
export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0 s";
  if (value >= 5400) return `${(value / 3600).toFixed(1)} h`;
  if (value >= 60) return `${Math.round(value / 60)} min`;
  return value < 1 ? `${value.toFixed(2)} s` : `${value.toFixed(1)} s`;
}

const two = (value) => String(value).padStart(2, "0");

/** A moment, in the viewer's time; the date only where it is not today. */
export function moment(at) {
  if (!at) return "";
  const then = new Date(1000 * at), now = new Date();
  const time = `${two(then.getHours())}:${two(then.getMinutes())}:${two(then.getSeconds())}`;
  const day = `${then.getFullYear()}-${two(then.getMonth() + 1)}-${two(then.getDate())}`;
  const text = then.toDateString() === now.toDateString() ? time : `${day} ${time}`;
  return h("time", { datetime: then.toISOString(), title: then.toISOString() }, text);
}

/** A table; columns are {head, cell(row), class, label}. Rows stay the same nodes while their data are the same. */
export class Table {
  constructor(caption, columns, key, options = {}) {
    Object.assign(this, { columns, key, options, shown: new Map() });
    this.body = h("tbody");
    this.empty = h("p", { class: "none", hidden: true }, options.none ?? "Nothing.");
    const head = columns.map((column) => h("th", { scope: "col", class: column.class }, column.head));
    const table = h("table", { class: "cards" }, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, head)), this.body);
    this.node = h("div", { class: "frame" }, table, this.empty);
  }

  show(rows, flash = false) {
    const next = new Map();
    const focused = document.activeElement?.closest?.("tr")?.dataset.key;
    rows.forEach((row, place) => {
      const key = String(this.key(row)), text = JSON.stringify(row);
      let found = this.shown.get(key);
      if (!found || found.text !== text) {
        const node = this.#row(row, key);
        if (found && flash) node.classList.add("fresh");
        found?.node.replaceWith(node);
        found = { node, text, row };
      }
      next.set(key, found);
      if (this.body.children[place] !== found.node) this.body.insertBefore(found.node, this.body.children[place] ?? null);
    });
    for (const [key, old] of this.shown) if (!next.has(key)) old.node.remove();
    this.shown = next;
    this.empty.hidden = rows.length > 0;
    if (focused && next.has(focused) && !this.body.contains(document.activeElement)) {
      next.get(focused).node.querySelector("a, button, input")?.focus();
    }
  }

  #row(row, key) {
    const cells = this.columns.map((column, place) => {
      const content = column.cell(row);
      const blank = content === "" || content === null || content === undefined;
      return h(place === (this.options.header ?? 0) ? "th" : "td",
        { class: `${column.class ?? ""}${blank ? " blank" : ""}`, scope: place === (this.options.header ?? 0) ? "row" : null,
          "data-label": column.label ?? column.head }, content);
    });
    const node = h("tr", {}, cells);
    node.dataset.key = key;
    if (this.options.selected?.(row)) node.setAttribute("aria-selected", "true");
    return node;
  }
}

/** A few buttons of which one is chosen; arrow keys go from one to the next. */
export function tabs(label, names, choose) {
  const buttons = names.map(([key, text]) =>
    h("button", { type: "button", role: "tab", id: `tab-${key}`, "aria-controls": `panel-${key}`, onclick: () => pick(key) }, text));
  const node = h("div", { class: "tabs", role: "tablist", "aria-label": label, onkeydown: (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = (buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length;
    buttons[at].focus();
    pick(names[at][0]);
  } }, buttons);
  function pick(key) {
    names.forEach(([name], place) => {
      buttons[place].setAttribute("aria-selected", String(name === key));
      buttons[place].tabIndex = name === key ? 0 : -1;
    });
    choose(key);
  }
  return { node, pick };
}

/** Call ``act`` once, ``ms`` after the last call. */
export function later(act, ms) {
  let timer;
  return () => { clearTimeout(timer); timer = setTimeout(act, ms); };
}

/** Call ``act`` after ``wait`` ms, but not again before ``gap`` ms are over, however often it is asked for. */
export function soon(act, gap = 2000, wait = 250) {
  let timer = null, due = 0;
  return () => {
    timer ??= setTimeout(() => { timer = null; due = performance.now() + gap; act(); }, Math.max(wait, due - performance.now()));
  };
}
