"""A scripted model provider: real HTTP/1.1 on loopback, answers as told, remembers what it was asked.

One server serves a whole test session from a thread of its own. A test puts a `Scenario` on it: each request takes
the scenario's next answer, the last one is repeated. An answer is bytes, so a test decides the framing, how the
body is cut into pieces, the pauses between them, and whether the connection ends, hangs or dies.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

SSE = "text/event-stream"
NDJSON = "application/x-ndjson"
JSON = "application/json"

# Seconds between two pieces after which the gateway has read the first one by itself.
APART = 0.001


@dataclass(frozen=True)
class Answer:
    """What the provider says to one request.

    pieces   the body in the pieces in which it is sent, one HTTP chunk each; None: in one piece
    pause    seconds before each piece but the first; `delay` is before the first byte of the head
    ending   "end": a complete HTTP message; "hang": nothing more comes until the gateway leaves;
             "abort": the connection is reset after the last piece
    raw      the pieces are all that is sent, head and chunking included; then the connection closes
    """

    body: bytes = b""
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Iterable[bytes] | None = None
    pause: float = 0.0
    delay: float = 0.0
    ending: Literal["end", "hang", "abort"] = "end"
    raw: bool = False


@dataclass
class Received:
    """One request, as the provider got it. `left` is the moment (monotonic seconds) the gateway hung up on it; `peer`
    the port it came from, which tells connections apart."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    left: float | None = None
    peer: int = 0

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Script = Answer | Callable[[Received], Answer]


class Scenario:
    """Answers in order, and the requests that took them."""

    def __init__(self, *answers: Script) -> None:
        self.answers = list(answers)
        self.requests: list[Received] = []

    def take(self, request: Received) -> Answer:
        self.requests.append(request)
        if not self.answers:
            return Answer(b'{"error":{"message":"this test expects no provider call"}}', status=500)
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
        return answer if isinstance(answer, Answer) else answer(request)


class Provider:
    """The server. `url` has no path: every provider API has paths of its own."""

    def __init__(self) -> None:
        self.scenario = Scenario()
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self._busy: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._run, name="provider", daemon=True)

    def play(self, *answers: Script) -> Scenario:
        self.scenario = Scenario(*answers)
        return self.scenario

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._open)

    @property
    def busy(self) -> int:
        """How many of them wait for an answer, or for the rest of one."""
        return len(self._busy)

    def start(self) -> Provider:
        self._thread.start()
        assert self._ready.wait(10), "the scripted provider did not start"
        return self

    def hang_up(self) -> None:
        """Closes every connection that is open now."""
        for writer in list(self._open):
            self._loop.call_soon_threadsafe(writer.close)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._connection, "127.0.0.1", 0, limit=2**24)
        )
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while request := await _read_request(reader):
                request.peer = writer.get_extra_info("peername")[1]
                answer = self.scenario.take(request)
                self._busy.add(writer)
                if not await _send(answer, request, reader, writer):
                    break
                self._busy.discard(writer)
        self._busy.discard(writer)
        self._open.discard(writer)
        writer.close()


async def _read_request(reader: asyncio.StreamReader) -> Received | None:
    line = await reader.readline()
    if not line:
        return None
    method, path, _ = line.decode("latin-1").split(" ", 2)
    headers = {}
    while (line := await reader.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    body = b""
    if length := int(headers.get("content-length", 0)):
        body = await reader.readexactly(length)
    elif headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    return Received(method, path, headers, body, time.monotonic())


async def _send(
    answer: Answer, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Sends the answer; True if the connection can take another request."""
    gone = asyncio.ensure_future(reader.read(1))
    try:
        if answer.delay:
            await _sleep(answer.delay, gone)
        head = {"content-type": answer.content_type, "transfer-encoding": "chunked", **answer.headers}
        reason = HTTPStatus(answer.status).phrase if answer.status in HTTPStatus._value2member_map_ else "?"
        lines = [f"HTTP/1.1 {answer.status} {reason}", *(f"{name}: {value}" for name, value in head.items())]
        if not answer.raw:
            writer.write("\r\n".join([*lines, "", ""]).encode())
        for n, piece in enumerate([answer.body] if answer.pieces is None else answer.pieces):
            if n and answer.pause:
                await _sleep(answer.pause, gone)
            if gone.done() or writer.is_closing():
                request.left = time.monotonic()
                return False
            if piece:
                writer.write(piece if answer.raw else b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()
                await asyncio.sleep(0)
        if answer.ending == "hang":
            await gone
            return False
        if answer.ending == "abort":
            reset(writer)
            return False
        if answer.raw:
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return not gone.done()
    except ConnectionError:
        request.left = time.monotonic()
        raise
    finally:
        if gone.done() and not gone.cancelled():
            request.left = time.monotonic()
        gone.cancel()
        await asyncio.wait([gone])


def reset(writer: asyncio.StreamWriter) -> None:
    """Closes the connection at once: what the other side has not read yet is lost to it."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _sleep(seconds: float, gone: asyncio.Future[bytes]) -> None:
    """A pause that ends early when the gateway hangs up."""
    await asyncio.wait([gone], timeout=seconds)


# --------------------------------------------------------------------------- ways to cut a body


def bytewise(body: bytes) -> list[bytes]:
    return [body[i : i + 1] for i in range(len(body))]


def cut(body: bytes, *places: int) -> list[bytes]:
    """The body cut in two at each place."""
    ends = [*sorted(places), len(body)]
    return [body[start:end] for start, end in zip([0, *ends], ends, strict=False)]
