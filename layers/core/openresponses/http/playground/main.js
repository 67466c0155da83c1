// Ties the page together: what is sent, and who is told of what comes.

import { announce, announceText } from "./announcer.js";
import * as api from "./api.js";
import { Attachments } from "./attachments.js";
import { $ } from "./dom.js";
import { empty } from "./empty.js";
import { Inspector } from "./inspector.js";
import * as keys from "./key.js";
import * as setup from "./setup.js";
import { Transcript } from "./transcript.js";
import { Conversation } from "./turn.js";
import { startTheme } from "./theme.js";
import { showView, startViews } from "./views.js";

const conversation = new Conversation();
const attachments = new Attachments(announce, () => inspector.drafted());
const transcript = new Transcript(conversation, {
  answer: () => send([]),
  branch: continueFrom,
  show: continueFrom,
  inspect: (turn) => {
    inspector.show(turn);
    showView("inspector");
  },
  empty: () => empty(useExample),
});
const inspector = new Inspector(conversation, () => composed(written()).request);
let running = null; // {turn, abort} while a turn runs

// ---------------------------------------------------------------- the request

/** The message as input items. */
function written() {
  const text = $("message").value;
  const parts = [...(text.trim() ? [{ type: "input_text", text }] : []), ...attachments.parts];
  return parts.length ? [{ type: "message", role: "user", content: parts }] : [];
}

/** The request with this input behind the results of pending calls, and what of it is new. Throws setup.Unfit. */
function composed(input) {
  const base = conversation.base();
  const said = [...transcript.results(base), ...input];
  const { model, instructions, ...rest } = setup.fields();
  const { previous_response_id, input: earlier } = base.history;
  const request = { model, ...(instructions && { instructions }), input: [...earlier, ...said] };
  if (previous_response_id) request.previous_response_id = previous_response_id;
  return { request: { ...request, ...rest, stream: true }, said };
}

async function send(input) {
  if (running) return;
  let next;
  try {
    next = composed(input);
  } catch (error) {
    if (!(error instanceof setup.Unfit)) throw error;
    showView($("setup").contains(error.field) ? "setup" : "chat");
    error.field.focus();
    announce(error.message);
    return;
  }
  if (!next.said.length) {
    $("message").focus();
    return;
  }
  const draft = { text: input.length ? $("message").value : "", held: input.length ? attachments.take() : [] };
  if (input.length) $("message").value = "";
  const turn = conversation.add(conversation.base(), next.request, next.said);
  await run(turn);
  if (turn.failure && !turn.id) putBack(draft);
}

/** A message that did not get through is not lost. */
function putBack({ text, held }) {
  if (!$("message").value) $("message").value = text;
  attachments.restore(held);
}

async function run(turn) {
  const abort = new AbortController();
  running = { turn, abort };
  controls();
  transcript.render();
  inspector.show(turn);
  announce("Sent");
  try {
    const { headers, events } = await api.stream(turn.request, abort.signal);
    turn.headers = headers;
    for await (const entry of events) {
      turn.apply(entry);
      if (entry.event.type === "response.output_text.delta") announceText(entry.event.delta);
      transcript.changed(turn);
      inspector.changed(turn);
    }
    turn.end();
  } catch (error) {
    if (error.name !== "AbortError" && !(error instanceof api.Failure)) console.error(error);
    turn.end(error.name === "AbortError" ? null : error);
    if (error.status === 401) keys.ask("The gateway does not know this key.");
  }
  running = null;
  controls();
  if (!conversation.turns.includes(turn)) return; // a new chat has begun
  transcript.changed(turn);
  inspector.changed(turn);
  priced(turn);
  announce(turn.failure ? `Failed: ${turn.failure.message}` : `Answer ${turn.status}`);
}

async function priced(turn) {
  if (!turn.response?.usage) return;
  turn.price = await api.price(turn.headers.get("x-openresponses-route") ?? turn.request.model);
  inspector.changed(turn);
}

/** A background response is told to stop, and its stream then ends; another one's connection is closed. */
async function cancel() {
  if (!running) return;
  const { turn, abort } = running;
  if (!turn.request.background || !turn.id) {
    abort.abort();
    return;
  }
  try {
    await api.cancel(turn.id);
  } catch {
    abort.abort(); // the gateway is gone, so there is nothing to wait for
  }
}

// ---------------------------------------------------------------- the page

/** The next message continues this turn. */
function continueFrom(turn) {
  conversation.head = turn;
  transcript.render();
  inspector.show(turn);
  controls();
  $("message").focus();
}

function controls() {
  const byKeyboard = ["send", "cancel"].some((id) => $(id).matches(":focus-visible"));
  if (byKeyboard) $("message").focus(); // the button that has the focus goes
  $("send").hidden = Boolean(running);
  $("cancel").hidden = !running;
  const behind = conversation.head.children.length > 0;
  $("continuing").hidden = !behind;
  $("continuing").textContent = behind
    ? `Your next message continues ${nameOf(conversation.head)}; what followed stays as a branch.`
    : "";
}

const nameOf = (turn) => `turn ${conversation.turns.indexOf(turn) + 1}`;

function useExample({ text, tool }) {
  setup.choose("echo");
  if (tool) setup.addExampleTool();
  $("message").value = text;
  $("message").focus();
}

function startAgain() {
  running?.abort.abort();
  conversation.turns.length = 0;
  conversation.root.children.length = 0;
  conversation.head = conversation.root;
  transcript.render();
  inspector.show(null);
  controls();
  showView("chat");
  $("message").focus();
}

async function load() {
  $("models-error").textContent = "";
  try {
    setup.showModels(await api.models());
  } catch (failure) {
    setup.showModels([]);
    if (failure.status === 401) keys.ask();
    else $("models-error").textContent = `The models cannot be listed: ${failure.message}`;
  }
}

document.addEventListener("keydown", (event) => {
  if ($("key-dialog").open) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    send(event.target.closest?.(".results") ? [] : written());
  }
  if (event.key === "Escape" && running) {
    event.preventDefault();
    cancel();
  }
});
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send(written());
});
$("cancel").addEventListener("click", cancel);
$("new").addEventListener("click", startAgain);
for (const place of ["setup", "composer", "model-name", "model"]) {
  $(place).addEventListener("input", () => inspector.drafted());
}
if (/Mac|iPhone|iPad/.test(navigator.platform)) $("hint").firstElementChild.textContent = "⌘";

startTheme();
startViews();
keys.start(load);
transcript.render();
load();
