// How items look. A view is made once for an item and then updated as it grows: {element, update(item)}.

import { h, indented, link, pretty, setText } from "./dom.js";

const paragraph = (kind) => h("div", { class: kind, dir: "auto" });

// Code between fences, the last of which may be still to come.
const FENCED = /^ {0,3}```[^\n]*\n(?:[^]*?^ {0,3}```[ \t]*(?:\n|(?![^]))|[^]*)/gm;

/** Shows a text as it is, each piece of fenced code in an element of its own. */
function setProse(element, text) {
  const pieces = [];
  let end = 0;
  for (const { index, 0: code } of text.matchAll(FENCED)) {
    if (index > end) pieces.push(["span", text.slice(end, index)]);
    pieces.push(["code", code]);
    end = index + code.length;
  }
  if (end < text.length || !pieces.length) pieces.push(["span", text.slice(end)]);
  pieces.forEach(([tag, said], n) => {
    const known = element.children[n];
    const node = known?.localName === tag ? known : h(tag);
    if (node !== known) known ? known.replaceWith(node) : element.append(node);
    setText(node, said);
  });
  while (element.childElementCount > pieces.length) element.lastElementChild.remove();
}

function message() {
  const element = h("div", { class: "item message" });
  const texts = [];
  const sources = h("ol", { class: "sources", "aria-label": "Sources", hidden: true });
  let shown = "";
  const update = (item) => {
    (item.content ?? []).forEach((part, n) => {
      texts[n] ??= element.insertBefore(paragraph(part.type === "refusal" ? "refusal" : "text"), sources);
      setProse(texts[n], String(part.text ?? part.refusal ?? ""));
    });
    const cited = (item.content ?? []).flatMap((part) => part.annotations ?? []).filter(Boolean);
    if (JSON.stringify(cited) === shown) return;
    shown = JSON.stringify(cited);
    sources.hidden = cited.length === 0;
    sources.replaceChildren(...cited.map((source) => h("li", {}, citation(source))));
  };
  element.append(sources);
  return { element, update };
}

function citation(source) {
  const label = String(source.title || source.filename || source.url || source.file_id || source.type);
  return source.url === undefined ? h("span", {}, label) : link(String(source.url), label);
}

function reasoning() {
  const text = paragraph("thoughts");
  const title = h("summary", {}, "Reasoning");
  const element = h("details", { class: "item reasoning", open: true }, title, text);
  const update = (item) => {
    const parts = [...(item.summary ?? []), ...(item.content ?? [])];
    setText(text, parts.map((part) => part?.text ?? "").join("\n\n"));
    element.hidden = text.textContent === "" && item.status === "completed";
  };
  return { element, update };
}

const block = (label) => h("pre", { class: "given", tabindex: "0", "aria-label": label });

/** A call: its name, what it was called with and, where it ran elsewhere, what came of it. */
const call = (kind, field, nameOf = (item) => item.name, resultOf = () => null) => () => {
  const name = h("bdi", { class: "name" });
  const given = block("Arguments");
  const result = block("Result");
  const came = h("div", { class: "came" }, h("span", { class: "kind" }, "result"), result);
  const element = h("div", { class: "item call" }, h("div", {}, h("span", { class: "kind" }, kind), " ", name), given, came);
  const update = (item) => {
    setText(name, String(nameOf(item) ?? ""));
    const text = String(item[field] ?? "");
    setText(given, item.status === "in_progress" ? text : indented(text));
    given.hidden = text === "";
    setText(result, textOf(resultOf(item)));
    came.hidden = result.textContent === "";
  };
  return { element, update };
};

const textOf = (value) => (typeof value === "string" ? indented(value) : value == null ? "" : pretty(value));

/** What a code interpreter printed; images that it made stand there as their addresses. */
const printed = ({ outputs }) => (Array.isArray(outputs) ? outputs.map((one) => one?.logs ?? one?.url ?? pretty(one)).join("\n") : null);

function output() {
  const text = block("Result");
  const element = h("div", { class: "item result" }, h("span", { class: "kind" }, "result"), text);
  const update = (item) => setText(text, textOf(item.output));
  return { element, update };
}

/** An image that the model makes; until it is whole, what there is of it. */
function image() {
  const status = h("span", { class: "kind" });
  const picture = h("img", { alt: "Generated image", hidden: true });
  const element = h("div", { class: "item image" }, status, picture);
  let shown = null;
  const update = (item) => {
    setText(status, `image: ${String(item.status ?? "").replace("_", " ")}`);
    const made = item.result || item.partial;
    if (made === shown || !/^[A-Za-z0-9+/=]+$/.test(made ?? "")) return;
    shown = made;
    const format = /^(png|jpeg|webp)$/.test(item.output_format) ? item.output_format : "png";
    picture.src = `data:image/${format};base64,${made}`;
    picture.hidden = false;
  };
  return { element, update };
}

/** Any other item: its type and status, and all of it on demand. */
function other() {
  const title = h("summary", {});
  const text = h("pre", { tabindex: "0", "aria-label": "The item" });
  const element = h("details", { class: "item other" }, title, text);
  const update = (item) => {
    setText(title, [item.type, item.server_label ?? item.name, item.status].filter(Boolean).join(": ").replaceAll("_", " "));
    setText(text, pretty(item));
  };
  return { element, update };
}

const VIEWS = {
  message,
  reasoning,
  function_call: call("calls", "arguments"),
  custom_tool_call: call("calls", "input"),
  mcp_call: call("MCP", "arguments", (item) => `${item.server_label}: ${item.name}`, (item) => item.error ?? item.output),
  mcp_approval_request: call("asks to call", "arguments", (item) => `${item.server_label}: ${item.name}`),
  web_search_call: call("searches", "", (item) => item.action?.query ?? item.action?.url ?? item.status),
  code_interpreter_call: call("runs", "code", () => "code", printed),
  image_generation_call: image,
  function_call_output: output,
  custom_tool_call_output: output,
};

/** The view of an item of this type. */
export const view = (type) => (Object.hasOwn(VIEWS, type) ? VIEWS[type] : other)();

// ---------------------------------------------------------------- what the client said

/** A sent item, as it is shown above the answer. */
export function sent(item) {
  if (item.type === "message") return h("div", { class: "said" }, ...item.content.map(saidPart));
  const { element, update } = view(item.type);
  update(item);
  return element;
}

function saidPart(part) {
  if (part.type === "input_text") return h("div", { class: "text", dir: "auto" }, part.text);
  if (part.type === "input_image") return h("img", { src: part.image_url, alt: "Attached image" });
  return h("div", { class: "chip" }, h("bdi", {}, part.filename ?? part.type.replace("input_", "")));
}
