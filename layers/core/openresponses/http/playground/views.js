// On a narrow screen one of three views is in sight; on a wide one all are.

const buttons = document.querySelectorAll("[data-show]");

export function showView(name) {
  document.body.dataset.view = name;
  for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.show === name));
}

export function startViews() {
  for (const button of buttons) button.addEventListener("click", () => showView(button.dataset.show));
}
