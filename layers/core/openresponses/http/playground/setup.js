// The fields of a request that stay from turn to turn, as the form at the side has them.

import { $, h, pretty } from "./dom.js";

const OTHER = "other…";
const EXAMPLE_TOOL = {
  type: "function",
  name: "get_weather",
  description: "The weather in a city",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

/** A field of the form that cannot be sent as it stands; it has been marked. */
export class Unfit extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

export function showModels(models) {
  const chosen = model() || models[0]?.id;
  const groups = Map.groupBy(models, (of) => of.owned_by);
  const lists = [...groups].map(([owner, of]) =>
    h("optgroup", { label: owner }, ...of.map(({ id }) => h("option", { value: id }, id))),
  );
  $("model").replaceChildren(...lists, h("option", { value: OTHER }, OTHER));
  choose(chosen ?? "");
}

/** Chooses a model by its name, which need not be in the list. */
export function choose(name) {
  const listed = [...$("model").options].some((option) => option.value === name && name !== OTHER);
  $("model").value = listed ? name : OTHER;
  $("model-name").hidden = listed;
  if (!listed) $("model-name").value = name;
}

export function model() {
  return $("model").value === OTHER ? $("model-name").value.trim() : $("model").value;
}

export function addExampleTool() {
  const tools = parsed("tools") ?? [];
  const list = Array.isArray(tools) ? tools : [tools];
  if (!list.some((tool) => tool?.name === EXAMPLE_TOOL.name)) list.push(EXAMPLE_TOOL);
  $("tools").value = pretty(list);
}

/** What the form says of the next request. Throws Unfit. */
export function fields() {
  const request = { model: model() };
  if (!request.model) throw new Unfit($("model-name").hidden ? $("model") : $("model-name"), "Choose a model.");
  if ($("instructions").value.trim()) request.instructions = $("instructions").value;
  const tools = parsed("tools");
  if (tools) request.tools = Array.isArray(tools) ? tools : [tools];
  if ($("effort").value) request.reasoning = { effort: $("effort").value };
  if (!$("max-tokens").validity.valid) unfit("max-tokens", "A whole number, 1 or more.");
  if ($("max-tokens").value) request.max_output_tokens = Number($("max-tokens").value);
  if ($("background").checked) request.background = true;
  const other = parsed("other");
  if (other && (typeof other !== "object" || Array.isArray(other))) unfit("other", "This must be one JSON object.");
  return { ...request, ...other };
}

/** The JSON of a field; undefined if it is empty. */
function parsed(id) {
  if (!$(id).value.trim()) return undefined;
  try {
    return JSON.parse($(id).value);
  } catch (error) {
    return unfit(id, `Not JSON: ${error.message}`);
  }
}

function unfit(id, message) {
  $(id).setAttribute("aria-invalid", "true");
  $(`${id}-error`).textContent = message;
  throw new Unfit($(id), message);
}

for (const id of ["tools", "other", "max-tokens"]) {
  $(id).addEventListener("input", () => {
    $(id).removeAttribute("aria-invalid");
    $(`${id}-error`).textContent = "";
  });
}
$("model").addEventListener("change", () => {
  const own = $("model").value === OTHER;
  $("model-name").hidden = !own;
  if (own) $("model-name").focus();
});
$("example-tool").addEventListener("click", () => {
  try {
    addExampleTool();
  } catch (error) {
    if (!(error instanceof Unfit)) throw error;
    error.field.focus();
  }
});
