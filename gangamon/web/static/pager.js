// Pages of a long list: where one is, and the buttons to the next.
import { count, h } from "./dom.js";

export class Pager {
  constructor(size, turn) {
    this.size = size;
    this.first = 0;
    this.previous = h("button", { type: "button", class: "previous", onclick: () => turn(Math.max(0, this.first - this.size)) }, "Previous");
    this.next = h("button", { type: "button", class: "next", onclick: () => turn(this.first + this.size) }, "Next");
    this.text = h("span", { "aria-live": "polite" });
    this.node = h("nav", { class: "pager", "aria-label": "Pages of the list" }, this.previous, this.next, this.text);
  }

  show(first, shown, total) {
    this.first = first;
    this.previous.disabled = first === 0;
    this.next.disabled = first + shown >= total;
    this.node.hidden = total === 0;
    const text = shown ? `${count(first + 1)} to ${count(first + shown)} of ${count(total)}` : `none here of ${count(total)}`;
    if (this.text.textContent !== text) this.text.textContent = text;
  }
}

/** The address with these parameters, empty ones left out; the page stays. */
export function address(parameters, push = false) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value !== 0 && value !== null && value !== undefined));
  const url = query.size ? `?${query}` : location.pathname;
  if (push) history.pushState(null, "", url); else history.replaceState(null, "", url);
  return query;
}
