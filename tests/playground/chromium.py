"""A real headless Chromium, driven over its DevTools protocol: https://chromedevtools.github.io/devtools-protocol/.

One browser serves a module; each `Page` is a tab with a profile of its own. A page keeps what it asked for over the
network and what went wrong in it, so that every test can end with `page.check()`.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

Json = dict[str, Any]

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # Chromium has none as root, which containers run as
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--no-first-run",
    "--remote-debugging-port=0",
    "--hide-scrollbars",
)
CONTROL, SHIFT = 2, 8  # the protocol's modifiers
KEYS: dict[str, Json] = {
    "Enter": {"windowsVirtualKeyCode": 13, "text": "\r"},
    "Escape": {"windowsVirtualKeyCode": 27},
    "Tab": {"windowsVirtualKeyCode": 9},
    "Space": {"windowsVirtualKeyCode": 32, "key": " ", "text": " "},
    "ArrowDown": {"windowsVirtualKeyCode": 40},
    "ArrowRight": {"windowsVirtualKeyCode": 39},
    "End": {"windowsVirtualKeyCode": 35},
}
# Resolves once the condition holds; rejects in time, with what is on the page.
WAIT = """new Promise((resolve, reject) => {
  const began = performance.now();
  (function look() {
    let found = null;
    try { found = (%s); } catch (error) { found = null; }
    if (found) resolve(found === true ? true : String(found));
    else if (performance.now() - began > %d) reject(new Error("in vain: " + document.body.innerText.slice(-1500)));
    else setTimeout(look, 10);
  })();
})"""


def program() -> str | None:
    """Where Chromium is; CHROMIUM names another one."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """A running Chromium. `page()` opens a tab."""

    def __init__(self, profile: Path) -> None:
        found = program()
        assert found
        self._process = subprocess.Popen(
            [found, *FLAGS, f"--user-data-dir={profile / 'data'}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._connection = connect(self._address(), max_size=None, proxy=None)
        self._next = 0
        self._pages: dict[str, Page] = {}

    def _address(self) -> str:
        assert self._process.stderr
        for line in self._process.stderr:
            if found := re.search(rb"DevTools listening on (ws://\S+)", line):
                return found[1].decode()
        raise AssertionError("Chromium did not start")

    def close(self) -> None:
        self._connection.close()
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        assert self._process.stderr
        self._process.stderr.close()

    @property
    def connection(self) -> ClientConnection:
        return self._connection

    def page(self, url: str, *, width: int = 1440, height: int = 900) -> Page:
        """A tab that shows the page, in a profile of its own."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session, context, url)
        page.start(width, height)
        return page

    def call(self, method: str, session: str | None = None, **parameters: Any) -> Json:
        """The result of a command; what happens meanwhile goes to the pages."""
        self._next += 1
        command: Json = {"id": self._next, "method": method, "params": parameters}
        if session:
            command["sessionId"] = session
        self._connection.send(json.dumps(command))
        while True:
            message: Json = json.loads(self._connection.recv(90))
            if message.get("id") == self._next:
                assert "error" not in message, (method, message["error"])
                result: Json = message["result"]
                return result
            page = self._pages.get(message.get("sessionId", ""))
            if page and "method" in message:
                page.happened(message)


class Page:
    """A tab."""

    def __init__(self, browser: Browser, session: str, context: str, url: str) -> None:
        self._browser = browser
        self._session = session
        self._context = context
        self.url = url
        self.requests: list[Json] = []
        self.problems: list[str] = []
        self._answers: dict[str, Json] = {}

    def start(self, width: int, height: int) -> None:
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        grant = ["clipboardReadWrite", "clipboardSanitizedWrite"]
        self._browser.call("Browser.grantPermissions", permissions=grant, browserContextId=self._context)
        self.resize(width, height)
        self.call(
            "Page.addScriptToEvaluateOnNewDocument",
            source="""window.violations = [];
            addEventListener("securitypolicyviolation", (e) => violations.push([e.violatedDirective, e.blockedURI]))""",
        )
        self.load()

    def load(self) -> None:
        """The page, as it is when it is opened; what was seen before is forgotten."""
        if self._answers:
            self.call("Fetch.disable")
        self._answers.clear()
        self.requests.clear()
        self.problems.clear()
        self.call("Page.navigate", url=self.url)
        self.wait("window.violations && document.querySelector('#model option')")

    def call(self, method: str, **parameters: Any) -> Json:
        return self._browser.call(method, self._session, **parameters)

    def close(self) -> None:
        self._browser.call("Target.disposeBrowserContext", browserContextId=self._context)

    def happened(self, message: Json) -> None:
        what, about = message["method"], message["params"]
        if what == "Network.requestWillBeSent":
            self.requests.append(about["request"])
        elif what == "Runtime.exceptionThrown":
            self.problems.append(
                about["exceptionDetails"].get("exception", {}).get("description", "exception")
            )
        elif what == "Log.entryAdded" and about["entry"]["source"] != "network":
            self.problems.append(about["entry"]["text"])
        elif what == "Runtime.consoleAPICalled" and about["type"] == "error":
            self.problems.append(str(about["args"]))
        elif what == "Fetch.requestPaused":
            self._fulfil(about)

    def answer(self, path: str, *, status: int = 200, content_type: str, body: str) -> None:
        """From now on requests to `path` are answered with this, and never reach the server."""
        self._answers[path] = {
            "responseCode": status,
            "responseHeaders": [{"name": "content-type", "value": content_type}],
            "body": base64.b64encode(body.encode()).decode(),
        }
        patterns = [{"urlPattern": f"*{path}"} for path in self._answers]
        self.call("Fetch.enable", patterns=patterns)

    def _fulfil(self, paused: Json) -> None:
        answer = next(a for path, a in self._answers.items() if paused["request"]["url"].endswith(path))
        command = {
            "id": -1,
            "sessionId": self._session,
            "method": "Fetch.fulfillRequest",
            "params": {"requestId": paused["requestId"], **answer},
        }
        self._browser.connection.send(json.dumps(command))

    # ------------------------------------------------------------ looking

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; promises are awaited."""
        done = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if thrown := done.get("exceptionDetails"):
            raise AssertionError(thrown.get("exception", {}).get("description") or thrown["text"])
        return done["result"].get("value")

    def wait(self, condition: str, seconds: float = 20) -> Any:
        """Waits until a JavaScript expression is true; its value as text."""
        return self.evaluate(WAIT % (condition, seconds * 1000))

    def text(self, selector: str) -> str:
        text: str = self.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")
        return text

    def texts(self, selector: str) -> list[str]:
        found = f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.textContent)"
        texts: list[str] = self.evaluate(found)
        return texts

    def focused(self) -> str:
        """Tag and id of what has the focus."""
        return str(
            self.evaluate("document.activeElement.tagName.toLowerCase() + '#' + document.activeElement.id")
        )

    def screenshot(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def check(self) -> None:
        """No error, no breach of the page's policy, and no request to elsewhere."""
        assert self.problems == []
        assert self.evaluate("window.violations") == []
        origin = "/".join(self.url.split("/")[:3])
        urls = [request["url"] for request in self.requests]
        assert [url for url in urls if not url.startswith((f"{origin}/", "data:", "blob:"))] == []

    # ------------------------------------------------------------ doing

    def resize(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def colors(self, scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def _point(self, selector: str) -> tuple[float, float]:
        """The middle of an element, which must be what a pointer would hit there."""
        quoted = json.dumps(selector)
        box = self.evaluate(
            f"""(() => {{ const one = document.querySelector({quoted}); one.scrollIntoView({{block: "nearest"}});
            const {{x, y, width, height}} = one.getBoundingClientRect(); const at = [x + width / 2, y + height / 2];
            const hit = document.elementFromPoint(...at);
            return one.contains(hit) ? at : "covered by " + hit?.outerHTML.slice(0, 200); }})()"""
        )
        assert isinstance(box, list), f"{selector}: {box}"
        return box[0], box[1]

    def click(self, selector: str) -> None:
        x, y = self._point(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def write(self, selector: str, text: str) -> None:
        """Focuses a field and replaces what is in it."""
        self.evaluate(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)}); one.focus(); one.select(); }})()"
        )
        if text:
            self.type(text)
        else:
            self.call("Input.dispatchKeyEvent", type="keyDown", key="Delete", windowsVirtualKeyCode=46)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def press(self, key: str, modifiers: int = 0) -> None:
        about = {"key": key, "code": key, "modifiers": modifiers, **KEYS[key]}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about)
        about.pop("text", None)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def drop(self, selector: str, *files: Path) -> None:
        x, y = self._point(selector)
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)
