// What stands where no turn is yet: what to try, with the echo provider's commands (docs/echo.md).

import { h } from "./dom.js";

const EXAMPLES = [
  { text: "Hello, my name is Alice.", does: "repeats it, and remembers it in the next turn" },
  { text: "What is the weather in Tokyo?", does: "calls a tool, whose result you write", tool: true },
  { text: "/reason Two words, then.\n/slow 0.2\nHello there", does: "thinks aloud, then speaks slowly" },
  { text: "/cite https://www.openresponses.org\nOpen Responses", does: "cites a page" },
  { text: "/slow 0.1\n/long 300", does: "speaks until you cancel it" },
  { text: "/error rate_limit", does: "fails, as a provider would" },
];

/** `use(example)` puts an example into the message. */
export function empty(use) {
  const button = (example) =>
    h(
      "li",
      {},
      h("button", { type: "button", onclick: () => use(example) }, h("code", {}, example.text), h("span", {}, example.does)),
    );
  return h(
    "div",
    { class: "empty" },
    h("h2", {}, "Try the gateway"),
    h(
      "p",
      {},
      "Choose a model and write a message. The model ",
      h("code", {}, "echo"),
      " is built in: it needs no key, and does what a line with a slash tells it.",
    ),
    h("ul", {}, ...EXAMPLES.map(button)),
    h("p", { class: "faint" }, "With ", h("code", {}, "/image"), " it describes the pictures and files that you drop here."),
  );
}
