"""Asks the gateway in every mode, and holds what it says and stores to the rules that no failure may break."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from ..background.asking import create, follow, poll
from ..support import grammar
from ..support.client import Client
from ..support.provider import Answer, Provider, Received
from ..support.sockets import Socket
from ..support.waiting import wait_for
from .outcomes import Told
from .wire import TEXT, asked_model

Json = dict[str, Any]

AT_ONCE = 12
LONGEST = 15.0  # seconds that any turn of the tests may take, on a busy machine


class Board:
    """What the provider does to each request: the model's name tells which cell it belongs to."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: dict[str, list[Received]] = {}
        self._count = 0

    def add(self, answer: Answer) -> str:
        """The model to ask for."""
        self._count += 1
        model = f"cell-{self._count}"
        self.answers[model] = answer
        self.requests[model] = []
        return model

    def answer(self, request: Received) -> Answer:
        model = asked_model(request)
        self.requests[model].append(request)
        return self.answers[model]


@dataclass
class Seen:
    """What became of one request."""

    told: Told
    text: str = ""
    problems: list[str] = field(default_factory=list)


class Asker:
    """Asks through `client`; `stored` are the models of which the store has a response."""

    def __init__(self, client: Client, board: Board, stored: Container[str]) -> None:
        self._client = client
        self._board = board
        self._stored = stored

    def ask(self, provider: str, model: str, mode: str) -> Seen:
        """One request, checked on the way: legal stream, one terminal event, in time, stored as told."""
        begun = time.monotonic()
        try:
            told, response = MODES[mode](self._client, {"model": f"{provider}/{model}", "input": "hi"})
        except (AssertionError, httpx.HTTPError, OSError, TimeoutError) as error:
            return Seen(Told(0, "broken", None), problems=[f"{type(error).__name__}: {error}"[:500]])
        seen = Seen(told)
        if response:
            seen.text = text_of(response)
            if self._client.get(f"/responses/{response['id']}").json() != response:
                seen.problems.append("the store has another response than was told")
        elif f"{provider}/{model}" in self._stored:
            seen.problems.append("a response is stored that nobody was told of")
        if not TEXT.startswith(seen.text):
            seen.problems.append(f"the text is not the provider's: {seen.text!r}")
        if time.monotonic() - begun > LONGEST:
            seen.problems.append("it took too long")
        seen.told = told._replace(attempts=len(self._board.requests[model]))
        return seen


def ask_stream(client: Client, body: Json) -> tuple[Told, Json]:
    told = client.ask(body, stream=True)
    return of_answer(told.status, told.response, told.error), told.response


def ask_json(client: Client, body: Json) -> tuple[Told, Json]:
    told = client.ask(body)
    return of_answer(told.status, told.response, told.error), told.response


def ask_websocket(client: Client, body: Json) -> tuple[Told, Json]:
    with Socket(client.base_url) as socket:
        turn = socket.ask(**body)
    status = turn.envelope.get("status", 200)
    return of_answer(status, turn.response, turn.envelope.get("error", {})), turn.response


def ask_background(client: Client, body: Json) -> tuple[Told, Json]:
    """Polled; its events, told afterwards, are as legal as any, and end in the same response."""
    queued = create(client, **body)
    response = poll(client, queued["id"], seconds=LONGEST)
    grammar.check_end(response)
    assert grammar.check_stream(follow(client, queued["id"])) == response, "polled and streamed differ"
    return of_answer(200, response, {}), response


MODES: dict[str, Callable[[Client, Json], tuple[Told, Json]]] = {
    "stream": ask_stream,
    "json": ask_json,
    "websocket": ask_websocket,
    "background": ask_background,
}


def of_answer(status: int, response: Json, error: Json) -> Told:
    if not response:
        return Told(status, "refused", error["code"])
    reason = (response["error"] or {}).get("code") or (response["incomplete_details"] or {}).get("reason")
    return Told(status, response["status"], reason)


def text_of(response: Json) -> str:
    messages = (item for item in response["output"] if item["type"] == "message")
    return "".join(part.get("text", "") for item in messages for part in item["content"])


def at_once(jobs: Iterable[Callable[[], Seen]], threads: int = AT_ONCE) -> list[Seen]:
    with ThreadPoolExecutor(threads) as pool:
        return [done.result() for done in [pool.submit(job) for job in jobs]]


def all_closed(provider: Provider, seconds: float = 20.0) -> None:
    """Every connection to the provider is closed: it closes those it is done with, the gateway must close the rest."""
    wait_for(lambda: not provider.connections, "the gateway holds a connection that it does not use", seconds)
