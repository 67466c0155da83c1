// The inspector: one turn, or the request that would be sent next, as figures, events, the provider's request, programs
// and the response.

import * as api from "./api.js";
import { $, copy, h, pretty, setText } from "./dom.js";
import { EventList } from "./events.js";
import { explanation } from "./explanation.js";
import { figures } from "./format.js";
import { SNIPPETS } from "./snippets.js";

const NEXT = "next";
const PAUSE = 400; // ms
const TABS = ["events", "provider", "code", "response"];

export class Inspector {
  #conversation;
  #draft;
  #list = new EventList();
  #turn = null; // null: the next request
  #tab = "events";
  #pending = false;
  #language = "curl";
  #withKey = false;
  #asking = null; // a timer
  #explained = 0; // counts requests to explain, so that a late answer is not shown

  /** `draft()` is the request that would be sent next; it throws what is wrong with the form. */
  constructor(conversation, draft) {
    this.#conversation = conversation;
    this.#draft = draft;
    $("inspected").addEventListener("change", () => this.show(this.#conversation.turns[$("inspected").value] ?? null));
    for (const tab of TABS) $(`tab-${tab}`).addEventListener("click", () => this.#open(tab));
    document.querySelector("[role=tablist]").addEventListener("keydown", (event) => this.#key(event));
    this.show(null);
  }

  show(turn) {
    this.#turn = turn;
    const turns = this.#conversation.turns.map((_, n) => h("option", { value: String(n) }, `Turn ${n + 1}`));
    $("inspected").replaceChildren(...turns, h("option", { value: NEXT }, "Next request"));
    $("inspected").value = turn ? String(this.#conversation.turns.indexOf(turn)) : NEXT;
    this.#draw();
  }

  /** The turn has more to show. */
  changed(turn) {
    if (turn !== this.#turn || this.#pending) return;
    this.#pending = true;
    setTimeout(() => {
      this.#pending = false;
      this.#figures();
      if (this.#tab === "events") this.#list.update();
      if (this.#tab === "response") this.#response();
    }, 50);
  }

  /** The next request may be another one now. The gateway is asked about it once the typing pauses. */
  drafted() {
    if (this.#turn !== null) return;
    clearTimeout(this.#asking);
    if (this.#tab === "code") this.#code();
    if (this.#tab === "provider") this.#asking = setTimeout(() => this.#draw(), PAUSE);
  }

  #open(tab) {
    this.#tab = tab;
    for (const name of TABS) {
      $(`tab-${name}`).setAttribute("aria-selected", String(name === tab));
      $(`tab-${name}`).tabIndex = name === tab ? 0 : -1;
      $(`panel-${name}`).hidden = name !== tab;
    }
    this.#draw();
  }

  #key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = TABS[(TABS.indexOf(this.#tab) + step + TABS.length) % TABS.length];
    this.#open(next);
    $(`tab-${next}`).focus();
  }

  #draw() {
    this.#figures();
    ({
      events: () => this.#list.show(this.#turn),
      provider: () => this.#provider(),
      code: () => this.#code(),
      response: () => this.#response(),
    })[this.#tab]();
  }

  #figures() {
    const rows = this.#turn ? figures(this.#turn) : [];
    $("numbers").replaceChildren(...rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }

  #response() {
    const text = this.#turn?.response ? pretty(this.#turn.response) : "No response yet.";
    setText($("panel-response").firstElementChild, text);
  }

  /** The inspected request; null, with the reason in the panel, if the form is not fit to be sent. */
  #request(panel) {
    try {
      return this.#turn?.request ?? this.#draft();
    } catch (error) {
      panel.replaceChildren(h("p", { class: "problem" }, error.message));
      return null;
    }
  }

  // -------------------------------------------------------------- programs

  #code() {
    const panel = $("panel-code");
    const request = this.#request(panel);
    if (!request) return;
    const has = Boolean(api.theKey());
    const key = has && !this.#withKey ? null : api.theKey();
    const text = SNIPPETS[this.#language](request, key);
    const button = (language) =>
      h("button", { type: "button", "aria-pressed": String(language === this.#language), onclick: () => this.#speak(language) }, language);
    const check = h("input", { type: "checkbox", checked: this.#withKey, onchange: () => this.#writeKey(check.checked) });
    const note = h("label", { class: "check" }, check, " Write the key down; else it is read from OPENRESPONSES_API_KEY");
    const copying = h("button", { type: "button", class: "primary", id: "copy", onclick: () => copy(text, copying) }, "Copy");
    panel.replaceChildren(
      h("div", { class: "row" }, h("div", { class: "choice" }, ...Object.keys(SNIPPETS).map(button)), copying),
      ...(has ? [note] : []),
      h("pre", { tabindex: "0", "aria-label": `The request in ${this.#language}` }, text),
    );
  }

  #speak(language) {
    this.#language = language;
    this.#code();
    $("panel-code").querySelector("[aria-pressed=true]").focus();
  }

  #writeKey(withKey) {
    this.#withKey = withKey;
    this.#code();
    $("panel-code").querySelector("input").focus();
  }

  // -------------------------------------------------------------- what the provider is sent

  async #provider() {
    const panel = $("panel-provider");
    const request = this.#request(panel);
    if (!request) return;
    const number = (this.#explained += 1);
    panel.replaceChildren(h("p", { class: "faint" }, "Asking the gateway"));
    let nodes;
    try {
      nodes = explanation(await api.explain(request));
    } catch (failure) {
      nodes = [h("p", { class: "problem" }, [failure.code, failure.param, failure.message].filter(Boolean).join(": "))];
    }
    if (number === this.#explained) panel.replaceChildren(...nodes);
  }
}
