// Small plots over time: drawn as SVG, read by pointer, by arrow keys, and as a table.
import { h, s } from "./dom.js";

const HEIGHT = 200, LEFT = 52, BOTTOM = 22, TOP = 8;

function steps(most) {
  const raw = most / 4, power = 10 ** Math.floor(Math.log10(raw || 1));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= raw) ?? power;
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, n) => n * step);
}

const two = (value) => String(value).padStart(2, "0");
const clock = (at, exact = true) => { const then = new Date(1000 * at); return `${two(then.getHours())}:${two(then.getMinutes())}${exact ? `:${two(then.getSeconds())}` : ""}`; };

/** ``series``: {name, class, values}; values beside ``times`` (seconds), null where nothing is known. ``stacked``: areas on each other. */
export class Plot {
  constructor(title, note, format, stacked = false) {
    Object.assign(this, { format, stacked, times: [], series: [] });
    this.svg = s("svg", { class: "plot", role: "img", tabindex: 0, "aria-label": `${title}; use the arrow keys to read it` });
    this.read = h("span", { "aria-live": "polite" });
    this.rows = h("tbody");
    this.headings = h("tr");
    const figures = h("details", {}, h("summary", { class: "note" }, "Figures"), h("div", { class: "frame" }, h("table", {}, h("thead", {}, this.headings), this.rows)));
    figures.addEventListener("toggle", () => this.#figures(figures.open));
    this.legend = h("span");
    this.node = h("figure", {}, h("figcaption", {}, h("b", {}, title), h("span", {}, note), this.legend, this.read), this.svg, figures);
    this.figures = figures;
    this.svg.addEventListener("pointermove", (event) => this.#at((event.clientX - this.svg.getBoundingClientRect().left - LEFT) / (this.width - LEFT)));
    this.svg.addEventListener("pointerleave", () => this.#point(-1));
    this.svg.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      this.#point(Math.min(this.times.length - 1, Math.max(0, (this.now ?? this.times.length) + step)));
    });
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  show(times, series) {
    Object.assign(this, { times, series });
    this.draw();
    this.#figures(this.figures.open);
  }

  draw() {
    const width = (this.width = this.svg.clientWidth || 600), { times, series } = this;
    const sums = times.map((_, at) => series.reduce((sum, one) => sum + (one.values[at] ?? 0), 0));
    const most = Math.max(...(this.stacked ? sums : series.flatMap((one) => one.values.map((v) => v ?? 0))), 0);
    const marks = most ? steps(most) : [0], top = Math.max(most, marks.at(-1)) || 1, span = Math.max(1, (times.at(-1) ?? 0) - (times[0] ?? 0));
    const x = (at) => LEFT + ((times[at] - times[0]) / span) * (width - LEFT), y = (value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
    const nodes = marks.map((mark) => [s("line", { class: "grid", x1: LEFT, x2: width, y1: y(mark), y2: y(mark) }), s("text", { x: LEFT - 8, y: y(mark) + 4, "text-anchor": "end" }, this.format(mark))]).flat();
    const every = Math.max(1, Math.ceil(times.length / Math.max(2, Math.floor((width - LEFT) / 90))));
    for (let at = 0; at < times.length; at += every) nodes.push(s("text", { x: x(at), y: HEIGHT - 4, "text-anchor": !at ? "start" : at + every < times.length || x(at) < width - 40 ? "middle" : "end" }, clock(times[at], span < 900)));
    const below = times.map(() => 0);
    for (const one of series) {
      let path = "", pen = false;
      if (this.stacked) {
        const upper = one.values.map((value, at) => below[at] + (value ?? 0));
        path = `M${upper.map((value, at) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("L")}L${below.map((value, at) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`).reverse().join("L")}Z`;
        upper.forEach((value, at) => { below[at] = value; });
        if (times.length > 1) nodes.push(s("path", { class: one.class, d: path }));
      } else {
        one.values.forEach((value, at) => { if (value === null || value === undefined) { pen = false; return; } path += `${pen ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`; if (!pen) path += "h0.1"; pen = true; });
        if (path) nodes.push(s("path", { class: `series ${one.class}`, d: path }));
      }
    }
    this.cross = s("line", { class: "cross", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
    if (!times.length) nodes.push(s("text", { x: width / 2, y: HEIGHT / 2, "text-anchor": "middle" }, "The first point comes within ten seconds."));
    else if (!most) nodes.push(s("text", { x: (LEFT + width) / 2, y: HEIGHT / 2, "text-anchor": "middle" }, "Nothing in this time."));
    this.svg.replaceChildren(...nodes, this.cross);
    this.x = x;
    this.legend.replaceChildren(...series.map((one) => h("span", { class: `status ${one.class}` }, one.name)));
  }

  #at(part) {
    const { times } = this;
    if (!times.length) return;
    const wanted = times[0] + part * (times.at(-1) - times[0]);
    let best = 0;
    times.forEach((time, at) => { if (Math.abs(time - wanted) < Math.abs(times[best] - wanted)) best = at; });
    this.#point(best);
  }

  #point(at) {
    this.now = at < 0 ? undefined : at;
    if (at < 0 || !this.times.length) { this.cross.setAttribute("visibility", "hidden"); this.read.textContent = ""; return; }
    this.cross.setAttribute("visibility", "visible");
    this.cross.setAttribute("x1", this.x(at));
    this.cross.setAttribute("x2", this.x(at));
    const some = this.series.filter((one) => one.values[at]).map((one) => `${one.name} ${this.format(one.values[at])}`);
    this.read.textContent = `${clock(this.times[at])}: ${some.join(", ") || "nothing"}`;
  }

  #figures(open) {
    if (!open) return;
    this.headings.replaceChildren(h("th", { scope: "col" }, "Time"), ...this.series.map((one) => h("th", { scope: "col", class: "n" }, one.name)));
    this.rows.replaceChildren(...this.times.map((time, at) => h("tr", {}, h("th", { scope: "row" }, clock(time)), this.series.map((one) => h("td", { class: "n" }, one.values[at] === null || one.values[at] === undefined ? "" : this.format(one.values[at]))))).reverse().slice(0, 120));
  }
}
