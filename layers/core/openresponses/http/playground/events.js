// The list of a turn's events. Only the rows in sight are in the page, so that a hundred thousand of them are no burden.

import { $, h, pretty, setText } from "./dom.js";
import { milliseconds } from "./format.js";

const ROW = 24; // pixels; style.css has the same

export class EventList {
  #turn = null;
  #selected = -1;
  #first = -1;
  #drawn = 0;
  #box = $("events");
  #rows = $("events").firstElementChild;

  constructor() {
    this.#box.addEventListener("scroll", () => this.#draw());
    // Not `click`: rows that are drawn anew while a turn runs would swallow it.
    this.#rows.addEventListener("mousedown", ({ clientY }) => {
      this.#select(Math.floor((clientY - this.#rows.getBoundingClientRect().top) / ROW));
    });
    this.#box.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#draw(true)).observe(this.#box);
  }

  show(turn) {
    if (turn !== this.#turn) {
      this.#turn = turn;
      this.#box.scrollTop = 0;
      this.#select(-1);
    }
    this.update();
  }

  /** There are more events than before. */
  update() {
    const box = this.#box;
    setText($("no-events"), this.#none());
    $("no-events").hidden = this.#events.length > 0;
    box.hidden = this.#events.length === 0;
    const end = box.scrollHeight - box.scrollTop - box.clientHeight < ROW;
    this.#rows.style.height = `${this.#events.length * ROW}px`;
    if (end && this.#turn?.running && this.#selected < 0) box.scrollTop = box.scrollHeight;
    this.#draw(this.#drawn !== this.#events.length);
  }

  /** What stands in the list's place. */
  #none() {
    if (!this.#turn) return "The events of a turn appear here, each with its time since the request was sent.";
    return this.#turn.running ? "Waiting for the first event." : "No events: the turn ended before its stream began.";
  }

  get #events() {
    return this.#turn?.events ?? [];
  }

  #draw(always = false) {
    const first = Math.max(0, Math.floor(this.#box.scrollTop / ROW) - 5);
    if (first === this.#first && !always) return;
    this.#first = first;
    this.#drawn = this.#events.length;
    const many = Math.ceil(this.#box.clientHeight / ROW) + 10;
    const rows = this.#events.slice(first, first + many).map((entry, n) => this.#row(entry, first + n));
    this.#rows.replaceChildren(...rows);
  }

  #row({ at, event }, n) {
    const row = h(
      "div",
      {
        role: "option",
        id: `event-${n}`,
        "aria-selected": String(n === this.#selected),
        "aria-posinset": String(n + 1),
        "aria-setsize": String(this.#events.length),
      },
      h("span", { class: "at" }, milliseconds(at - this.#turn.sentAt)),
      h("span", { class: "type" }, event.type.replace(/^response\./, "")),
      h("span", { class: "glimpse" }, glimpse(event)),
    );
    row.style.top = `${n * ROW}px`;
    return row;
  }

  #select(n) {
    const box = this.#box;
    this.#selected = n;
    setText($("event"), n < 0 ? "" : pretty(this.#events[n].event));
    $("event").hidden = n < 0; // takes room from the list, so before the list is scrolled
    if (n < 0) box.removeAttribute("aria-activedescendant");
    else {
      box.setAttribute("aria-activedescendant", `event-${n}`);
      box.scrollTop = Math.min(Math.max(box.scrollTop, (n + 1) * ROW - box.clientHeight), n * ROW);
    }
    this.#draw(true);
  }

  #key(event) {
    const last = this.#events.length - 1;
    const page = Math.floor(this.#box.clientHeight / ROW);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (!Object.hasOwn(moves, event.key) || last < 0) return;
    event.preventDefault();
    this.#select(Math.max(0, Math.min(last, this.#selected + moves[event.key])));
  }
}

/** A few characters of what an event says. */
function glimpse(event) {
  const said = event.delta ?? event.item?.type ?? event.annotation?.url ?? event.error?.code ?? event.response?.status;
  return String(said ?? "").slice(0, 80);
}
