// Dark, light, or as the system has it.

import { $ } from "./dom.js";

const THEMES = ["auto", "light", "dark"];

export function startTheme() {
  $("theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme ?? THEMES[0];
    const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
    document.documentElement.dataset.theme = next;
    $("theme").textContent = `Theme: ${next}`;
  });
}
