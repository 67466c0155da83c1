// Asks for the API key, where the gateway wants one.

import * as api from "./api.js";
import { $ } from "./dom.js";

/** `changed()` is called when there is another key, or none. */
export function start(changed) {
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    use($("key-value").value.trim(), changed);
  });
  $("key-later").addEventListener("click", () => $("key-dialog").close());
  $("key").addEventListener("click", () => (api.theKey() ? use("", changed) : ask()));
}

/** Opens the dialog, unless it is open; `problem` says what was wrong with the key that was given. */
export function ask(problem = "") {
  $("key").hidden = false;
  $("key-error").textContent = api.theKey() ? problem || "The gateway does not know this key." : "";
  if (!$("key-dialog").open) $("key-dialog").showModal();
  $("key-value").focus();
}

function use(key, changed) {
  api.setKey(key);
  $("key-value").value = "";
  $("key").textContent = key ? "Forget the key" : "Key";
  $("key-dialog").close();
  changed();
}
