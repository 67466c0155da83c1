// What a request becomes with its provider, as `POST /playground/explain` tells it.

import { h, pretty } from "./dom.js";

// Outcomes that matter to someone who wonders about an answer come first.
const OUTCOMES = ["refused", "ignored", "unknown", "mapped", "gateway", "echoed", "no effect"];
const SIZE = 20_000; // characters of the provider's request that are shown: pictures in it are long

export function explanation(told) {
  if (!told) return [h("p", { class: "faint" }, "This gateway does not explain requests.")];
  const fields = [...(told.fields ?? [])].sort((one, other) => rank(one) - rank(other));
  const nodes = [h("p", {}, "Route: ", h("bdi", { class: "name" }, String(told.route ?? "none")))];
  if (told.not_configured) nodes.push(h("p", { class: "problem" }, String(told.not_configured)));
  if (told.error) nodes.push(h("p", { class: "problem" }, `Would be refused: ${told.error.code}: ${told.error.message}`));
  if (fields.length) nodes.push(table(fields));
  if (told.complete === false) nodes.push(h("p", { class: "faint" }, "Not every field was looked into."));
  if (told.request) {
    nodes.push(h("h3", {}, "Request to the provider"), h("pre", { tabindex: "0", "aria-label": "Request to the provider" }, asHttp(told.request)));
  } else if (!told.error) nodes.push(h("p", { class: "faint" }, "This provider is built in: nothing is sent."));
  return nodes;
}

const rank = ({ outcome }) => (OUTCOMES.includes(outcome) ? OUTCOMES.indexOf(outcome) : OUTCOMES.length);

function table(fields) {
  const row = ({ path, outcome, detail }) =>
    h(
      "tr",
      { class: OUTCOMES.includes(outcome) ? outcome.replace(" ", "-") : null },
      h("td", {}, String(path)),
      h("td", {}, String(outcome)),
      h("td", {}, String(detail ?? "")),
    );
  const head = h("tr", {}, ...["Field", "Outcome", "Where, or why"].map((name) => h("th", { scope: "col" }, name)));
  return h("table", {}, h("caption", {}, "Field by field"), h("thead", {}, head), h("tbody", {}, ...fields.map(row)));
}

function asHttp({ method, url, headers, body }) {
  const lines = Object.entries(headers ?? {}).map(([name, value]) => `${name}: ${value}`);
  const text = [`${method} ${url}`, ...lines, "", typeof body === "string" ? body : pretty(body)].join("\n");
  return text.length > SIZE ? `${text.slice(0, SIZE)}\n… and ${text.length - SIZE} characters more` : text;
}
