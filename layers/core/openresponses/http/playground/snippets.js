// A request as a program that sends it: curl, Python and JavaScript with OpenAI's SDK.

import { address } from "./api.js";
import { pretty } from "./dom.js";

const VARIABLE = "OPENRESPONSES_API_KEY";

/** `key` is the key to write down, "" where the gateway asks for none, or null to read it from the environment. */
export const SNIPPETS = { curl, Python: python, JavaScript: javascript };

function curl(request, key) {
  const bearer = key === null ? `"authorization: Bearer $${VARIABLE}"` : quoted(`authorization: Bearer ${key}`);
  const lines = [
    `curl -N ${quoted(address("v1/responses"))} \\`,
    "  -H 'content-type: application/json' \\",
    ...(key === "" ? [] : [`  -H ${bearer} \\`]),
    "  --data-binary @- <<'END_OF_REQUEST'",
    pretty(request),
    "END_OF_REQUEST",
  ];
  return lines.join("\n") + "\n";
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

// What the SDK's `create` has a parameter for; the rest goes through `extra_body`.
const KNOWN = new Set(
  `background include input instructions max_output_tokens max_tool_calls metadata model parallel_tool_calls
  previous_response_id prompt_cache_key reasoning safety_identifier service_tier store stream temperature text
  tool_choice tools top_logprobs top_p truncation`.split(/\s+/),
);

function python(request, key) {
  const known = Object.entries(request).filter(([name]) => KNOWN.has(name));
  const rest = Object.entries(request).filter(([name]) => !KNOWN.has(name));
  if (rest.length) known.push(["extra_body", Object.fromEntries(rest)]);
  return `${key === null ? "import os\n\n" : ""}from openai import OpenAI

client = OpenAI(base_url=${JSON.stringify(address("v1"))}, api_key=${sdkKey(key, `os.environ["${VARIABLE}"]`)})
stream = client.responses.create(
${known.map(([name, value]) => `    ${name}=${literal(value, 1)},`).join("\n")}
)
for event in stream:
    if event.type == "response.output_text.delta":
        print(event.delta, end="", flush=True)
    elif event.type == "response.output_item.done" and event.item.type == "function_call":
        print(event.item.name, event.item.arguments)
    elif event.type == "error":
        print(event)
`;
}

const WORDS = { true: "True", false: "False", null: "None" };

/** A JSON value as Python writes it. */
function literal(value, depth) {
  if (value === null || typeof value === "boolean") return WORDS[value];
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = "    ".repeat(depth + 1);
  const lines = Array.isArray(value)
    ? value.map((one) => inner + literal(one, depth + 1))
    : Object.entries(value).map(([name, one]) => `${inner}${JSON.stringify(name)}: ${literal(one, depth + 1)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return lines.length ? `${open}\n${lines.join(",\n")},\n${"    ".repeat(depth)}${close}` : open + close;
}

function javascript(request, key) {
  return `import OpenAI from "openai";

const client = new OpenAI({
  baseURL: ${JSON.stringify(address("v1"))},
  apiKey: ${sdkKey(key, `process.env.${VARIABLE}`)},
});
const stream = await client.responses.create(${pretty(request)});
for await (const event of stream) {
  if (event.type === "response.output_text.delta") process.stdout.write(event.delta);
  else if (event.type === "response.output_item.done" && event.item.type === "function_call")
    console.log(event.item.name, event.item.arguments);
  else if (event.type === "error") console.log(event);
}
`;
}

/** The SDKs want a key, also where the gateway does not. */
const sdkKey = (key, variable) => (key === null ? variable : JSON.stringify(key || "not needed"));
