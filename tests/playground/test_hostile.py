"""What a model, a provider or a gateway says is text in the page, never HTML; a key is in memory and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openresponses.engine.caller import Caller
from openresponses.protocol.errors import ApiError

from tests.support.gateway import Server

from .chromium import CONTROL, Browser, Page
from .test_page import ask, ended, item, send, stream

EVIL = "<img src=x onerror=window.harmed=1><script>window.harmed=1</script>"
KEY = "sk-the-key-of-the-test"


def test_hostile_output_stays_text(page: Page) -> None:
    cited = [
        {"type": "url_citation", "url": "javascript:window.harmed=1", "title": EVIL},
        {"type": "url_citation", "url": f"https://example.com/{EVIL}", "title": EVIL},
        {"type": "file_citation", "filename": EVIL},
        {"type": EVIL},
    ]
    output: list[dict[str, Any]] = [
        {"type": "message", "content": [{"type": "output_text", "text": EVIL, "annotations": cited}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": EVIL}]},
        {"type": "function_call", "name": EVIL, "arguments": EVIL, "call_id": EVIL},
        {"type": "mcp_approval_request", "name": EVIL, "server_label": EVIL, "arguments": EVIL},
        {
            "type": "image_generation_call",
            "result": '"><script>window.harmed=1</script>',
            "output_format": EVIL,
        },
        {"type": "constructor", "name": EVIL},
        {"type": EVIL, "status": EVIL},
    ]
    events = [event for n, one in enumerate(output) for event in item(n, **{"id": f"item_{n}{EVIL}", **one})]
    response = {
        "id": f"resp_{EVIL}",
        "status": "completed",
        "model": EVIL,
        "incomplete_details": {"reason": EVIL},
    }
    usage = {"input_tokens": EVIL, "output_tokens": 1, "total_tokens": EVIL, "cost": EVIL}
    end = {"type": "response.completed", "response": {**response, "usage": usage}}
    page.answer(
        "/v1/responses",
        content_type="text/event-stream",
        body=stream(*events, {"type": f"response.{EVIL}"}, end),
    )
    explained: Any = {
        "route": EVIL,
        "request": {"method": EVIL, "url": EVIL, "headers": {EVIL: EVIL}, "body": {EVIL: EVIL}},
    }
    field = {"path": EVIL, "outcome": EVIL, "detail": EVIL}
    page.answer(
        "/playground/explain",
        content_type="application/json",
        body=json.dumps({**explained, "fields": [field]}),
    )
    ask(page, EVIL)
    shown = page.text("#transcript")
    assert shown.count(EVIL) >= 12
    links = page.evaluate("[...document.querySelectorAll('#transcript a')].map((one) => one.protocol)")
    assert links == ["https:"]
    for tab in ("events", "provider", "code", "response"):
        page.click(f"#tab-{tab}")
    page.click("#tab-provider")
    page.wait("document.querySelector('#panel-provider table')")
    assert EVIL in page.text("#panel-provider td") and EVIL in page.text("#panel-provider pre")

    error = {"message": EVIL, "code": EVIL, "param": EVIL, "type": EVIL}
    page.answer(
        "/v1/responses", status=400, content_type="application/json", body=json.dumps({"error": error})
    )
    send(page, "hello")
    ended(page, 1, "failed")
    assert page.text(".turn:last-of-type .error").count(EVIL) == 4
    page.answer("/v1/responses", status=502, content_type="text/html", body=EVIL)
    page.press("Enter", CONTROL)
    page.wait("document.querySelector('.turn:last-of-type .error dl')?.textContent.includes('502')")
    assert EVIL in page.text(".turn:last-of-type .error p")
    assert page.evaluate("window.harmed ?? null") is None
    assert page.evaluate("document.querySelectorAll('main script, main [onerror]').length") == 0


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """A gateway that wants KEY."""

    async def authenticate(request: Any) -> Caller:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            raise ApiError("invalid_api_key", "Send a valid key.")
        return Caller("default")

    server = Server({}, authenticate=authenticate).start()
    yield server.url
    server.stop()


@pytest.mark.slow
def test_the_key_is_asked_for_and_kept_in_memory_alone(browser: Browser, guarded: str) -> None:
    page = browser.page(guarded + "/?a=1")
    page.wait("document.getElementById('key-dialog').open")
    assert page.focused() == "input#key-value"
    page.type("wrong")
    page.press("Enter")
    page.wait("document.getElementById('key-error').textContent")
    page.type(KEY)
    page.press("Enter")
    page.wait("document.getElementById('model').value === 'echo'")
    ask(page, "Hello")
    assert not page.evaluate("document.getElementById('key-dialog').open")
    kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href, history.state])"
    assert KEY not in page.evaluate(kept) and page.evaluate("document.cookie") == ""
    assert page.evaluate("indexedDB.databases().then((all) => all.length)") == 0
    assert [request["url"] for request in page.requests if KEY in request["url"]] == []
    page.click("#tab-code")
    assert KEY not in page.evaluate("document.documentElement.outerHTML")
    assert '"authorization: Bearer $OPENRESPONSES_API_KEY"' in page.text("#panel-code pre")
    page.click("#panel-code input")
    assert f"'authorization: Bearer {KEY}'" in page.text("#panel-code pre")
    page.click("#key")  # forgotten, and asked for again
    page.wait("document.getElementById('key-dialog').open")
    page.check()
    page.close()
