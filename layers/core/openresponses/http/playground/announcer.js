// Says to screen readers what appears, a few sentences at a time: word by word nobody could follow.

import { $, h } from "./dom.js";

const PAUSE = 1000; // ms
const LINES = 20; // that stay for those who read back

let waiting = "";
let timer = null;

/** Says the text with the next ones; an unfinished sentence waits for its end. */
export function announceText(text) {
  waiting += text;
  timer ??= setTimeout(flush, PAUSE);
}

/** Says the text, and what still waits before it. */
export function announce(text) {
  say(`${waiting}\n${text}`);
  waiting = "";
}

function flush() {
  timer = null;
  const end = Math.max(...[...".!?:\n"].map((mark) => waiting.lastIndexOf(mark))) + 1;
  if (end) say(waiting.slice(0, end));
  waiting = waiting.slice(end);
}

function say(text) {
  if (!text.trim()) return;
  $("announcer").append(h("p", {}, text.trim()));
  while ($("announcer").childElementCount > LINES) $("announcer").firstElementChild.remove();
}
