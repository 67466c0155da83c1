"""One Chromium and one gateway for the tests of the page; each test has a fresh page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import Server

from .chromium import Browser, Page, program


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not program():
        pytest.skip("needs Chromium: install the package chromium, or name one in CHROMIUM")
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def gateway_url() -> Iterator[str]:
    """Of a gateway that knows the echo provider only."""
    started = Server({}).start()
    yield started.url
    started.stop()


@pytest.fixture(scope="session")
def tab(browser: Browser, gateway_url: str) -> Page:
    return browser.page(gateway_url + "/")


@pytest.fixture
def page(tab: Page) -> Iterator[Page]:
    """The page, just loaded; it must not have breached its policy, nor asked anyone else for anything, at the end."""
    tab.resize(1440, 900)
    tab.load()
    yield tab
    tab.check()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A picture and a PDF."""
    picture = tmp_path / "dot.png"
    picture.write_bytes(
        bytes.fromhex(
            "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cf"
            "c0000000030001019ac1d6490000000049454e44ae426082"
        )
    )
    document = tmp_path / "page.pdf"
    document.write_bytes(b"%PDF-1.4\n%%EOF\n")
    return {"picture": picture, "document": document}
