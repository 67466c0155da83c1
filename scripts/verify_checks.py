"""What a deployed gateway must show to a client, asked over HTTP with the echo provider: a table of checks.

A check returns what it saw, in a few words; an AssertionError says what was wrong.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx

SLOW = "/slow 1\none two three"  # a second before each word


@dataclass(frozen=True, slots=True)
class Target:
    """`url` ends in /v1; `key` and `other_key` are of two tenants."""

    url: str
    key: str
    other_key: str

    def ask(
        self, body: Any = None, *, method: str = "POST", path: str = "/responses", key: str | None = ""
    ) -> Any:
        """An answer. `key`: another key, or None for no key at all."""
        bearer = {} if key is None else {"authorization": f"Bearer {key or self.key}"}
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        return httpx.request(method, self.url + path, headers=bearer, timeout=120, **content)


def health(target: Target) -> str:
    answer = target.ask(method="GET", path="/../healthz", key=None)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"}), answer.text
    return "open, without a key"


def streaming(target: Target) -> str:
    """The echo provider waits before each word: each must arrive before the next one is made."""
    headers = {"authorization": f"Bearer {target.key}"}
    body = {"model": "echo", "stream": True, "input": SLOW, "store": False}
    arrived, last, begun = [], "", time.monotonic()
    with httpx.stream("POST", f"{target.url}/responses", json=body, headers=headers, timeout=60) as answer:
        assert answer.status_code == 200, answer.read()
        for line in answer.iter_lines():
            if line.startswith("event: response.output_text.delta"):
                arrived.append(time.monotonic() - begun)
            last = line or last
    gaps = [after - before for before, after in pairwise(arrived)]
    assert len(gaps) >= 2 and min(gaps) > 0.5, f"words arrived together, at {arrived}: the answer is buffered"
    assert last == "data: [DONE]", last
    return f"words at {', '.join(f'{at:.1f}' for at in arrived)} s"


def history(target: Target) -> str:
    first = target.ask({"model": "echo", "input": "My name is Alice."}).json()
    body = {"model": "echo", "input": "What is my name?", "previous_response_id": first["id"]}
    text = target.ask(body).json()["output"][0]["content"][0]["text"]
    assert "Alice" in text, text
    return "the second turn knows the first"


def tenants(target: Target) -> str:
    made = target.ask({"model": "echo", "input": "Hi"}).json()["id"]
    path = f"/responses/{made}"
    statuses = [target.ask(method="GET", path=path, key=key).status_code for key in ("", target.other_key)]
    assert statuses == [200, 404], statuses
    return "apart"


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("no key", {"body": {}, "key": None}, 401, "invalid_api_key"),
    ("an unknown key", {"body": {}, "key": "or-unknown"}, 401, "invalid_api_key"),
    ("no such path", {"method": "GET", "path": "/nothing"}, 404, "not_found"),
    ("no JSON", {"body": b"{"}, 400, "invalid_json"),
    ("no such model", {"body": {"model": "nothing", "input": "x"}}, 404, "model_not_found"),
    ("a provider without a key", {"body": {"model": "grok-4", "input": "x"}}, 500, "provider_not_configured"),
]


def errors(target: Target) -> str:
    """Whoever makes it, API Gateway or the app: the API's shape, and a request id."""
    for what, asked, status, code in REFUSED:
        answer = target.ask(**asked)
        assert answer.status_code == status, f"{what}: {answer.status_code} {answer.text[:200]}"
        error = answer.json()["error"]
        assert set(error) == {"type", "code", "message", "param"} and error["code"] == code, (
            f"{what}: {error}"
        )
        assert answer.headers.get("x-request-id"), f"{what}: no x-request-id"
    return f"{len(REFUSED)} kinds, in the API's shape"


def sizes(target: Target) -> str:
    """What fits, what the app refuses, and what API Gateway refuses."""
    for megabytes, status in ((3, 200), (9, 413), (11, 413)):
        body = {"model": "echo", "input": "x" * megabytes * 1_000_000, "store": False}
        answer = target.ask(body)
        assert answer.status_code == status, f"{megabytes} MB: {answer.status_code} {answer.text[:200]}"
        assert status == 200 or answer.json()["error"]["code"] == "request_too_large", answer.text[:200]
    return "3 MB taken; 9 and 11 MB are 413"


def long_stream(target: Target) -> str:
    body = {"model": "echo", "stream": True, "input": "/long 30000", "store": False}
    text = target.ask(body).text
    assert text.rstrip().endswith("data: [DONE]") and "event: response.completed" in text
    return f"{len(text) / 1e6:.1f} MB, whole"


def patience(target: Target) -> str:
    """Longer than API Gateway's default of 29 s, without streaming."""
    begun = time.monotonic()
    answer = target.ask({"model": "echo", "input": "/slow 10\none two three", "store": False})
    assert answer.json()["status"] == "completed", answer.text[:200]
    return f"a JSON answer after {time.monotonic() - begun:.0f} s"


CHECKS: list[Callable[[Target], str]] = [
    health,
    streaming,
    history,
    tenants,
    errors,
    sizes,
    long_stream,
    patience,
]


def run(checks: list[tuple[str, Callable[[], str]]]) -> bool:
    """Prints a line for each check; whether all passed."""
    passed = True
    for name, check in checks:
        try:
            verdict, told = "ok", check()
        except Exception as error:
            passed, verdict, told = False, "FAILED", f"{type(error).__name__}: {error}"[:500]
        print(f"{verdict:8}{name:16}{told}", flush=True)
    return passed
