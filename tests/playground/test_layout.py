"""How the page looks, as far as a program can tell: nothing runs over the edge, is cut or too faint, at any width, dark
and light."""

from __future__ import annotations

import re

import pytest

from .chromium import CONTROL, Page
from .test_page import ask

pytestmark = pytest.mark.slow

WIDTHS = (320, 390, 768, 1100, 1440, 2200)
# What is wider than the window, and buttons whose words do not fit.
OVERFLOW = """(() => {
  const wide = [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility()
    && !one.closest(".unseen, .skip") && one.getBoundingClientRect().right > innerWidth + 1);
  const cut = [...document.querySelectorAll("button, select, label, dt, dd, th")].filter((one) =>
    one.checkVisibility() && !one.closest(".branches")
    && one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== "inline");
  return [...wide, ...cut].map((one) => one.outerHTML.slice(0, 120));
})()"""
# Texts whose contrast with what is behind them is below 4.5 (WCAG 2.2, 1.4.3).
FAINT = """(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data; };
  const light = (color) => { const [r, g, b] = [...rgba(color)].slice(0, 3).map((v) => v / 255).map(
    (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (one) => { for (let at = one; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor; if (rgba(color)[3] > 250) return color; } return "white"; };
  const texts = [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility()
    && !one.closest(".unseen") && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  const fields = [...document.querySelectorAll("input, textarea, select")].filter((one) => one.checkVisibility());
  return [...new Set([...texts, ...fields].map((one) => {
    const [a, b] = [light(getComputedStyle(one).color), light(ground(one))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    return contrast < 4.5 ? `${contrast.toFixed(2)}: ${one.outerHTML.slice(0, 100)}` : "";
  }))].filter(Boolean);
})()"""


def fill(page: Page) -> None:
    """Everything that a conversation can have."""
    ask(page, "/reason Let me think.\n/cite https://example.com/" + "long" * 40 + "\n" + "word" * 60)
    page.click("#example-tool")
    page.write("#message", "What is the weather in Tokyo?")
    page.press("Enter", CONTROL)
    page.wait("document.activeElement.closest('.results')")
    page.type("18 degrees")
    page.press("Enter", CONTROL)
    page.wait(
        "document.querySelectorAll('.turn').length === 3 && !document.querySelector('[aria-busy=true]')"
    )
    ask(page, "/error context", 3, "failed")
    page.evaluate("document.querySelector('.turn footer button').click()")
    ask(page, "Another way", 1)


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_or_faint(page: Page, width: int) -> None:
    states = ["document.body", "document.getElementById('key-dialog').showModal()"]
    fill(page)
    page.resize(width, 800)
    for state in states:
        page.evaluate(f"void {state}")
        for view in ("chat", "setup", "inspector"):
            for tab in ("events", "code", "response", "provider"):
                for selector in (f"[data-show={view}]", f"#tab-{tab}"):
                    page.evaluate(f"document.querySelector('{selector}').click()")
                assert page.evaluate(OVERFLOW) == [], (width, view, tab)
                if view != "inspector" and tab != "events":
                    continue
                for theme in ("light", "dark"):
                    page.colors(theme)
                    assert page.evaluate(FAINT) == [], (width, view, tab, theme)
    page.colors("light")


def test_the_theme_is_the_systems_until_it_is_chosen(page: Page) -> None:
    def dark() -> bool:
        color: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", color))) < 200

    page.colors("dark")
    assert dark()
    page.colors("light")
    assert not dark()
    page.click("#theme")
    page.colors("dark")
    assert not dark() and page.text("#theme") == "Theme: light"
    page.click("#theme")
    page.colors("light")
    assert dark() and page.text("#theme") == "Theme: dark"
    page.click("#theme")
    assert not dark() and page.text("#theme") == "Theme: auto"
