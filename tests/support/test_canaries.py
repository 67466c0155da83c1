"""The suite's canaries can fail: content and keys in a log, in an error body, in what a process prints."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from openresponses.cloudwatch import emit
from openresponses.telemetry import Redacted

from .canaries import CANARIES, PROVIDER_KEY, Tap, passed

PROMPT = "a prompt of one's own"
TENANT_KEY = "or-" + "k" * 43
log = logging.getLogger("openresponses.some.module")


@pytest.fixture
def remembered() -> Iterator[None]:
    """The prompt has passed a gateway."""
    CANARIES.remember(json.dumps({"input": [{"role": "user", "content": PROMPT}]}).encode())
    yield
    CANARIES.take()


def raised(text: str) -> Any:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


LEAKS: dict[str, Callable[[], None]] = {
    "in a message": lambda: log.warning("refused: %s", PROMPT),
    "in debug": lambda: log.debug(PROMPT),
    "in an exception": lambda: log.error("it broke", exc_info=raised(PROMPT)),
    "in a field": lambda: log.info("turn ended", extra={"asked": PROMPT}),
    "a provider's key": lambda: log.info("Authorization: Bearer %s", PROVIDER_KEY),
    "a tenant's key": lambda: log.info("key %s", TENANT_KEY),
    "in an error body": lambda: passed(
        json.dumps({"error": {"message": f"No {PROMPT}."}}).encode(), failed=True
    ),
    "in what is printed": lambda: CANARIES.check_log(f"one line\nanother: {PROMPT}\n", "a log"),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_is_found(remembered: None, name: str) -> None:
    LEAKS[name]()
    assert len(CANARIES.take()) == 1


def test_a_metric_with_content_is_found(remembered: None, capsys: pytest.CaptureFixture[str]) -> None:
    emit({"Responses": 1}, model=PROMPT)
    CANARIES.check_log(capsys.readouterr().out, "metrics")
    assert len(CANARIES.take()) == 1


def test_lengths_and_hashes_are_no_leak(remembered: None) -> None:
    log.warning("request %s", Redacted(PROMPT.encode()))
    passed(json.dumps({"error": {"message": "Invalid value for 'input'."}}).encode(), failed=True)
    assert not CANARIES.take()


async def test_what_passes_a_gateway_is_remembered() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"text": "an output of the model"}'})

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Tap(app)), base_url="http://gateway"
    ) as client:
        await client.post("/", json={"input": "something that was asked"})
    log.info("something that was asked, an output of the model")
    log.info("an output of the model")
    assert len(CANARIES.take()) == 2
