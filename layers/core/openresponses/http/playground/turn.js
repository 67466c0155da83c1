// A turn, and the tree of turns that a conversation is. Knows the events of the stream; knows nothing of the page.

const appended = (field) => (item, event) => {
  item[field] = (item[field] ?? "") + event.delta;
};
const setTo = (field) => (item, event) => {
  item[field] = event[field];
};
const part = (list, index) => (item, event) => {
  (item[list] ??= [])[event[index]] = structuredClone(event.part);
};
const partText = (list, index, field, made = {}) => (item, event) => {
  const parts = (item[list] ??= []);
  const of = (parts[event[index]] ??= { ...made, [field]: "" });
  if ("delta" in event) of[field] += event.delta;
  else of[field] = event[field];
};
const annotation = (item, event) => {
  const of = item.content?.[event.content_index];
  if (of) (of.annotations ??= [])[event.annotation_index] = event.annotation;
};

const text = partText("content", "content_index", "text", { type: "output_text" });
const refusal = partText("content", "content_index", "refusal", { type: "refusal" });
const summary = partText("summary", "summary_index", "text", { type: "summary_text" });
const thoughts = partText("content", "content_index", "text", { type: "reasoning_text" });

// What an event changes in the item that it names.
const CHANGES = {
  "response.content_part.added": part("content", "content_index"),
  "response.content_part.done": part("content", "content_index"),
  "response.output_text.delta": text,
  "response.output_text.done": text,
  "response.output_text.annotation.added": annotation,
  "response.refusal.delta": refusal,
  "response.refusal.done": refusal,
  "response.reasoning_summary_part.added": part("summary", "summary_index"),
  "response.reasoning_summary_part.done": part("summary", "summary_index"),
  "response.reasoning_summary_text.delta": summary,
  "response.reasoning_summary_text.done": summary,
  "response.reasoning_text.delta": thoughts,
  "response.reasoning_text.done": thoughts,
  "response.reasoning.delta": thoughts,
  "response.reasoning.done": thoughts,
  "response.function_call_arguments.delta": appended("arguments"),
  "response.function_call_arguments.done": setTo("arguments"),
  "response.mcp_call_arguments.delta": appended("arguments"),
  "response.mcp_call_arguments.done": setTo("arguments"),
  "response.custom_tool_call_input.delta": appended("input"),
  "response.custom_tool_call_input.done": setTo("input"),
  "response.code_interpreter_call_code.delta": appended("code"),
  "response.code_interpreter_call_code.done": setTo("code"),
  "response.image_generation_call.partial_image": (item, event) => {
    item.partial = event.partial_image_b64;
  },
};

// Items that wait for the client, and what answers them: the type of the answer's item, and how a text becomes one.
export const ANSWERS = {
  function_call: (item, value) => ({ type: "function_call_output", call_id: item.call_id, output: value }),
  custom_tool_call: (item, value) => ({ type: "custom_tool_call_output", call_id: item.call_id, output: value }),
  mcp_approval_request: (item, value) => ({
    type: "mcp_approval_response",
    approval_request_id: item.id,
    approve: value === "approve",
  }),
};

export class Turn {
  constructor(parent, request, said = []) {
    this.parent = parent;
    this.children = [];
    this.request = request; // as it was sent
    this.said = said; // what of its input is new
    this.status = request ? "waiting" : null; // then what the response says; "failed" or "stopped" by ourselves
    this.items = [];
    this.events = []; // {at, event}
    this.response = null;
    this.failure = null;
    this.headers = new Headers();
    this.price = undefined; // not asked for yet; then what the gateway says of it, or null
    this.sentAt = performance.now();
    this.firstTokenAt = null;
    this.endedAt = null;
  }

  get running() {
    return Boolean(this.request) && this.endedAt === null;
  }

  get id() {
    return this.response?.id ?? null;
  }

  /** Whether another turn can follow this one. One that we have stopped is stored as incomplete. */
  get continuable() {
    const ends = this.#stored ? ["completed", "incomplete", "stopped"] : ["completed", "incomplete"];
    return Boolean(this.id) && !this.running && ends.includes(this.status);
  }

  /** How a request continues this turn: by its id or, if it is not stored, by all that was said since one that is. */
  get history() {
    if (!this.parent) return { input: [] };
    if (this.#stored) return { previous_response_id: this.id, input: [] };
    const { previous_response_id, input } = this.request;
    return { previous_response_id, input: [...input, ...this.items] };
  }

  get #stored() {
    return this.response?.store !== false;
  }

  /** The calls that wait for an answer from here. */
  get pending() {
    if (this.running || this.status !== "completed") return [];
    const answered = new Set(this.items.filter((item) => /_output$/.test(item.type)).map((item) => item.call_id));
    return this.items.filter((item) => ANSWERS[item.type] && !answered.has(item.call_id ?? item.id));
  }

  apply({ at, event }) {
    this.events.push({ at, event });
    if (event.type.endsWith(".delta")) this.firstTokenAt ??= at;
    if (event.response) {
      this.response = event.response;
      this.status = event.response.status;
    }
    if (event.item) this.items[event.output_index] = structuredClone(event.item);
    else if (event.type === "error") this.failure = event.error ?? event;
    else CHANGES[event.type]?.(this.#item(event), event);
  }

  /** The stream is over; `failure` says why, if not by its own last event. */
  end(failure = null) {
    this.endedAt = performance.now();
    if (failure) {
      this.failure = failure;
      this.status = "failed";
    } else if (["waiting", "queued", "in_progress"].includes(this.status)) {
      this.status = "stopped";
    }
    if (this.status === "failed") this.failure ??= this.response?.error;
    const final = this.response?.output ?? [];
    if (final.length) this.items = final;
  }

  #item({ output_index: index, item_id: id }) {
    return (this.items[index] ??= { id, type: "unknown" });
  }
}

export class Conversation {
  constructor() {
    this.root = new Turn(null, null);
    this.head = this.root; // where the next message goes
    this.turns = []; // in the order in which they were sent
  }

  /** A new turn behind `parent`. */
  add(parent, request, said) {
    const turn = new Turn(parent, request, said);
    parent.children.push(turn);
    this.turns.push(turn);
    this.head = turn;
    return turn;
  }

  /** The turns up to the head, oldest first. */
  path() {
    const turns = [];
    for (let turn = this.head; turn.parent; turn = turn.parent) turns.unshift(turn);
    return turns;
  }

  /** The turn that the next request continues: the head, or what is before it if that has failed. */
  base() {
    let turn = this.head;
    while (turn.parent && !turn.continuable) turn = turn.parent;
    return turn;
  }

  /** The newest turn below `turn`. */
  static tip(turn) {
    while (turn.children.length) turn = turn.children.at(-1);
    return turn;
  }
}
