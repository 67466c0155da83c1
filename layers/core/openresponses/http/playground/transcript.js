// The conversation: each turn with what was sent, what came, and what can be done with it.

import { $, h, setText } from "./dom.js";
import { count, milliseconds, statusOf } from "./format.js";
import * as items from "./items.js";
import { ANSWERS, Conversation } from "./turn.js";

const NEAR_THE_END = 80; // pixels

export class Transcript {
  #conversation;
  #actions;
  #views = new Map(); // turn -> TurnView
  #changed = new Set();

  /** `actions`: answer(turn), branch(turn), show(turn), inspect(turn), and `empty()`, which makes what is shown first. */
  constructor(conversation, actions) {
    this.#conversation = conversation;
    this.#actions = actions;
  }

  /** Shows the turns up to the head. */
  render() {
    const path = this.#conversation.path();
    const shown = path.map((turn) => this.#view(turn));
    for (const view of shown) view.update(this.#conversation.head);
    const start = this.#branches(this.#conversation.root, path[0]);
    const nodes = shown.flatMap((view, n) => [view.element, this.#branches(path[n], path[n + 1])]);
    $("transcript").replaceChildren(...(path.length ? [] : [this.#actions.empty()]), ...[start, ...nodes].filter(Boolean));
    if (path.length) this.toEnd();
    else $("transcript").scrollTop = 0;
  }

  /** The turn has changed: it is drawn again with the next frame. */
  changed(turn) {
    this.#changed.add(turn);
    if (this.#changed.size > 1) return;
    const draw = () => {
      const turns = [...this.#changed];
      this.#changed.clear();
      const follow = this.#atEnd();
      for (const one of turns) this.#view(one).update(this.#conversation.head);
      if (follow) this.toEnd();
    };
    // A hidden page gets no frames.
    if (document.hidden) setTimeout(draw, 100);
    else requestAnimationFrame(draw);
  }

  toEnd() {
    $("transcript").scrollTop = $("transcript").scrollHeight;
  }

  /** What was written as results of a turn's calls: the items that answer them. */
  results(turn) {
    return this.#views.get(turn)?.results() ?? [];
  }

  #atEnd() {
    const box = $("transcript");
    return box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_THE_END;
  }

  #view(turn) {
    if (!this.#views.has(turn)) {
      this.#views.set(turn, new TurnView(turn, this.#conversation.turns.indexOf(turn) + 1, this.#actions));
    }
    return this.#views.get(turn);
  }

  /** Where the conversation parts: one button for each way it went on; null where there is nothing to choose. */
  #branches(turn, current) {
    const others = turn.children.filter((child) => child !== current);
    if (!others.length) return null;
    const button = (child, n) =>
      h(
        "button",
        {
          type: "button",
          "aria-current": child === current ? "true" : null,
          onclick: () => this.#actions.show(Conversation.tip(child)),
        },
        `${n + 1}. ${excerpt(child)}`,
      );
    return h("nav", { class: "branches", "aria-label": "Branches" }, ...turn.children.map(button));
  }
}

function excerpt(turn) {
  const texts = turn.said.flatMap((item) => item.content ?? [item.output ?? item.type]);
  const text = texts.map((part) => part.text ?? (typeof part === "string" ? part : part.type)).join(" ");
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}

class TurnView {
  #turn;
  #actions;
  #views = [];
  #answer = h("div", { class: "answer" });
  #waiting = h("p", { class: "waiting" }, "Waiting for the first event");
  #calls = null;
  #error = h("div", { class: "error", role: "alert", hidden: true });
  #foot = h("p", { class: "figures" });
  #branch;

  constructor(turn, number, actions) {
    this.#turn = turn;
    this.#actions = actions;
    this.#branch = h("button", { type: "button", class: "quiet", onclick: () => actions.branch(turn) }, "Branch from here");
    const inspect = h("button", { type: "button", class: "quiet", onclick: () => actions.inspect(turn) }, "Inspect");
    this.element = h(
      "article",
      { class: "turn", "aria-label": `Turn ${number}` },
      ...turn.said.map(items.sent),
      this.#answer,
      this.#waiting,
      this.#error,
      h("footer", {}, this.#foot, h("div", { class: "actions" }, this.#branch, inspect)),
    );
  }

  update(head) {
    const turn = this.#turn;
    turn.items.forEach((item, n) => this.#showItem(item, n));
    this.#waiting.hidden = !turn.running || turn.items.length > 0;
    this.element.setAttribute("aria-busy", String(turn.running));
    this.#showError(turn.failure);
    setText(this.#foot, summary(turn));
    this.#branch.hidden = !turn.continuable;
    this.#showCalls(head === turn);
  }

  results() {
    return this.#calls ? this.#calls.read() : [];
  }

  #showItem(item, n) {
    let known = this.#views[n];
    if (known?.type !== item.type) {
      const made = { type: item.type, item: null, ...items.view(item.type) };
      if (known) known.element.replaceWith(made.element);
      else this.#answer.append(made.element);
      known = this.#views[n] = made;
    }
    known.update(item);
  }

  #showError(failure) {
    this.#error.hidden = !failure;
    if (!failure || this.#error.childElementCount) return;
    const rows = ["code", "param", "type", "status", "requestId"].filter((name) => failure[name] != null);
    const label = { requestId: "request" };
    this.#error.append(
      h("p", { dir: "auto" }, String(failure.message)),
      h("dl", {}, ...rows.flatMap((name) => [h("dt", {}, label[name] ?? name), h("dd", {}, String(failure[name]))])),
    );
  }

  /** The form that answers the calls stands at the head of the conversation only. */
  #showCalls(isHead) {
    const open = isHead && this.#turn.pending.length > 0;
    if (open && !this.#calls) {
      this.#calls = new CallForm(this.#turn, () => this.#actions.answer(this.#turn));
      this.#error.before(this.#calls.element);
      if (!$("message").value) requestAnimationFrame(() => this.#calls.focus());
    }
    if (this.#calls) this.#calls.element.hidden = !open;
  }
}

function summary(turn) {
  const parts = [turn.request.model, turn.running ? `${statusOf(turn)}…` : statusOf(turn)];
  if (turn.firstTokenAt !== null) parts.push(`first token ${milliseconds(turn.firstTokenAt - turn.sentAt)}`);
  if (turn.endedAt !== null) parts.push(`total ${milliseconds(turn.endedAt - turn.sentAt)}`);
  const usage = turn.response?.usage;
  if (usage) parts.push(`${count(usage.total_tokens)} tokens`);
  const ignored = turn.headers.get("x-openresponses-ignored");
  if (ignored) parts.push(`ignored: ${ignored}`);
  return parts.join(" · ");
}

/** A field for the result of each pending call of a turn. */
class CallForm {
  #fields;

  constructor(turn, send) {
    this.#fields = turn.pending.map((item) => ({ item, input: inputFor(item) }));
    const labels = this.#fields.map(({ item, input }) => h("label", {}, h("span", {}, labelOf(item)), input));
    const button = h("button", { type: "submit", class: "primary" }, labels.length > 1 ? "Send the results" : "Send the result");
    this.element = h("form", { class: "results", "aria-label": "Results of the calls" }, ...labels, h("div", { class: "row end" }, button));
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      send();
    });
  }

  focus() {
    this.#fields[0].input.focus();
  }

  /** The items that answer the calls. */
  read() {
    return this.#fields.map(({ item, input }) => ANSWERS[item.type](item, input.value));
  }
}

const labelOf = (item) => (item.type === "mcp_approval_request" ? `Allow ${item.name}?` : `Result of ${item.name}`);

function inputFor(item) {
  if (item.type !== "mcp_approval_request") return h("textarea", { rows: "2", spellcheck: "false", class: "code" });
  return h("select", {}, h("option", { value: "deny" }, "Deny"), h("option", { value: "approve" }, "Approve"));
}
