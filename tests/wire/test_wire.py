"""Wire cases: a client's request, the provider's request and answer byte for byte, and what the client is told.

A case is a folder `tests/wire/<adapter>/<case>/`:

    request.json             the client's request
    upstream_request.json    {"path": ..., "body": ...}: what the provider must get, exactly
    upstream.sse|ndjson|json its answer; upstream.meta.json: its status and headers, if not 200
    expected.json            a part of the response object, or {"http_status": ..., "error": {...}}
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from ..support.client import Told, comparable
from ..support.gateway import Gateway
from ..support.provider import APART, JSON, NDJSON, SSE, Answer, bytewise, cut

Json = dict[str, Any]

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/*/expected.json"))
CONTENT_TYPES = {".sse": SSE, ".ndjson": NDJSON, ".json": JSON}
FAST_CUTS, SLOW_CUTS = 1, 150  # of all the places at which an answer can be cut in two
VERSION = re.compile(r"^/v\d\w*(?=/)")

pytestmark = pytest.mark.parametrize("case", CASES, ids=[f"{case.parent.name}/{case.name}" for case in CASES])


def load(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else None


def answer_of(case: Path) -> Answer:
    path = next((path for suffix in CONTENT_TYPES if (path := case / f"upstream{suffix}").exists()), None)
    if path is None:  # the request does not get that far, or the provider is built in
        return Answer()
    meta = load(case / "upstream.meta.json") or {}
    headers = {name.lower(): value for name, value in meta.get("headers", {}).items()}
    content_type = headers.pop("content-type", CONTENT_TYPES[path.suffix])
    return Answer(path.read_bytes(), meta.get("status", 200), content_type, headers)


def compare(told: Told, expected: Json, *, stream: bool) -> None:
    if expected.get("status") == "failed" and not stream:
        # a failure in mid-answer: the client of a JSON answer has no byte of it yet, so it gets an HTTP error
        assert told.status >= 429, told.response
        assert told.error["code"] == expected["error"]["code"]
    elif "http_status" in expected:
        assert told.status == expected["http_status"], told.error or told.response
        assert_subset(expected["error"], told.error, "error")
    else:
        assert told.status == 200, told.error
        assert_subset(expected, told.response, "response")


def assert_subset(expected: Any, told: Any, at: str) -> None:
    """Every key of `expected` is in `told`, at any depth; lists have the same length."""
    if isinstance(expected, dict):
        assert isinstance(told, dict), f"{at} is {told!r}"
        for key, value in expected.items():
            assert key in told, f"{at} has no {key}: {json.dumps(told)[:500]}"
            assert_subset(value, told[key], f"{at}.{key}")
    elif isinstance(expected, list):
        assert isinstance(told, list) and len(told) == len(expected), f"{at} is {json.dumps(told)[:1000]}"
        for n, value in enumerate(expected):
            assert_subset(value, told[n], f"{at}[{n}]")
    else:
        assert type(told) is type(expected) and told == expected, f"{at} is {told!r}, expected {expected!r}"


def ask(
    gateway: Gateway, case: Path, *, stream: bool, pieces: list[bytes] | None = None, pause: float = 0.0
) -> Told:
    answer = answer_of(case)
    if pieces is not None:
        answer = Answer(answer.body, answer.status, answer.content_type, answer.headers, pieces, pause)
    gateway.scenario(answer)
    told = gateway.ask(load(case / "request.json"), stream=stream)
    compare(told, load(case / "expected.json"), stream=stream)
    return told


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_request(gateway: Gateway, case: Path, stream: bool) -> None:
    """The provider gets exactly the request that the case says, whether the client streams or not."""
    expected = load(case / "upstream_request.json")
    scenario = gateway.scenario(answer_of(case))
    told = gateway.ask(load(case / "request.json"), stream=stream)
    compare(told, load(case / "expected.json"), stream=stream)
    if expected is None:
        assert not scenario.requests, "the provider was called"
        return
    assert len(scenario.requests) == 1
    [received] = scenario.requests
    assert received.path in (expected["path"], VERSION.match(received.path)[0] + expected["path"]  # type: ignore[index]
                             if VERSION.match(received.path) else "")  # fmt: skip
    assert received.json == expected["body"]
    assert list(received.json) == list(expected["body"]), (
        "the keys' order is part of the case: caches depend on it"
    )


def test_streaming_and_not_agree(gateway: Gateway, case: Path) -> None:
    whole = ask(gateway, case, stream=False)
    streamed = ask(gateway, case, stream=True)
    if streamed.response.get("status") == "failed":
        return  # told as an HTTP error, see compare
    assert comparable(streamed.response) == comparable(whole.response)
    assert streamed.error == whole.error


def test_what_was_told_is_kept(gateway: Gateway, case: Path) -> None:
    told = ask(gateway, case, stream=True)
    if told.status == 200:
        include = "&".join(f"include[]={name}" for name in load(case / "request.json").get("include") or ())
        reply = gateway.get(f"/responses/{told.response['id']}?{include}")
        if told.response["store"]:
            assert reply.status_code == 200 and reply.json() == told.response
        else:
            assert reply.status_code == 404


@pytest.mark.parametrize("pause", [0.0, pytest.param(APART, marks=pytest.mark.slow)], ids=["fast", "slow"])
def test_byte_by_byte(gateway: Gateway, case: Path, pause: float) -> None:
    whole = ask(gateway, case, stream=True)
    pieces = ask(gateway, case, stream=True, pieces=bytewise(answer_of(case).body), pause=pause)
    assert comparable(pieces.response) == comparable(whole.response)


@pytest.mark.parametrize(
    "cuts", [FAST_CUTS, pytest.param(SLOW_CUTS, marks=pytest.mark.slow)], ids=["fast", "slow"]
)
def test_cut_in_two(gateway: Gateway, case: Path, cuts: int) -> None:
    body = answer_of(case).body
    whole = comparable(ask(gateway, case, stream=True).response)
    step = max(1, len(body) // cuts)
    for place in range(1 + crc32(case.name.encode()) % step, len(body), step):
        told = ask(gateway, case, stream=True, pieces=cut(body, place), pause=APART)
        assert comparable(told.response) == whole, f"cut at byte {place}"
