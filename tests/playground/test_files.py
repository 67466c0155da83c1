"""The playground's files as they are served and shipped; without a browser."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch

import httpx
import pytest
from openresponses.http import playground
from openresponses.http.app import create_app
from openresponses.secrets import EnvironmentSecrets
from openresponses.settings import Settings
from openresponses.store.sqlite import SQLiteStore

from scripts.docs import ROOT

FILES = {
    path.name: path.read_text() for path in playground.FOLDER.iterdir() if path.suffix in playground.TYPES
}
SCRIPTS = [name for name in FILES if name.endswith(".js")]
# What would make HTML or code of a string, or keep something.
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacent|document\.write|DOMParser|setHTML|createContextualFragment|\beval\b"
    r"|new Function|srcdoc|javascript:|localStorage|sessionStorage|indexedDB|document\.cookie|serviceWorker"
)


def client(**environ: str) -> httpx.AsyncClient:
    app = create_app(Settings.load(environ), SQLiteStore(":memory:", 60), EnvironmentSecrets(environ))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def test_the_page_and_what_it_names_are_served() -> None:
    async with client() as http:
        page = await http.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8" and page.text == FILES["index.html"]
        assert (await http.head("/")).status_code == 200
        named = re.findall(r'(?:href|src)="(assets/[^"]+)"', page.text)
        imported = {
            f"assets/{name}" for code in FILES.values() for name in re.findall(r'from "\./([\w.]+)"', code)
        }
        assert {f"assets/{name}" for name in FILES if name != "index.html"} == {*named, *imported}
        for path in {*named, *imported}:
            reply = await http.get(f"/{path}")
            assert reply.status_code == 200 and reply.headers["x-content-type-options"] == "nosniff", path
            assert reply.headers["content-type"].split(";")[0] in ("text/css", "text/javascript")
        for path in ("/assets/__init__.py", "/assets/nothing.js", "/assets/", "/assets/..%2f__init__.py"):
            reply = await http.get(path)
            assert reply.status_code == 404 and reply.json()["error"]["code"] == "not_found"


async def test_the_policy_is_strict() -> None:
    async with client() as http:
        headers = (await http.get("/")).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert {policy[name] for name in ("base-uri", "form-action", "frame-ancestors")} == {"'none'"}
    assert "unsafe" not in str(policy) and "http" not in str(policy)
    assert headers["referrer-policy"] == "no-referrer"


async def test_it_can_be_switched_off() -> None:
    async with client(OPENRESPONSES_PLAYGROUND="0") as http:
        for path in ("/", "/assets/main.js"):
            assert (await http.get(path)).status_code == 404
        assert (await http.post("/playground/explain", json={})).status_code == 404


async def test_a_models_price_is_told() -> None:
    async with client() as http:
        assert (await http.get("/v1/models/echo")).json()["price"] == {"input": 0, "output": 0}
        assert "price" not in (await http.get("/v1/models/gpt-5")).json()


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_string_becomes_html_and_nothing_is_kept(name: str) -> None:
    assert FORBIDDEN.findall(FILES[name]) == []


def test_nothing_is_loaded_from_elsewhere() -> None:
    page, style = FILES["index.html"], FILES["style.css"]
    assert (
        re.findall(r'(?:href|src)="(?:https?:)?//', page) == []
        and "url(" not in style
        and "@import" not in style
    )
    assert re.findall(r"<script(?![^>]* src=)|<style| on\w+=| style=", page) == []


def test_the_files_are_in_the_wheel() -> None:
    package_data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"][
        "*"
    ]
    assert [name for name in FILES if not any(fnmatch(name, pattern) for pattern in package_data)] == []


@pytest.mark.slow
def test_a_start_without_the_playground_imports_nothing_of_it() -> None:
    code = (
        "import sys, openresponses.http.app; from openresponses.settings import Settings;"
        "from openresponses.store.sqlite import SQLiteStore; from openresponses.secrets import EnvironmentSecrets;"
        "openresponses.http.app.create_app(Settings(playground=False), SQLiteStore(':memory:', 60), "
        "EnvironmentSecrets({})); print([name for name in sys.modules if 'playground' in name or 'explain' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
