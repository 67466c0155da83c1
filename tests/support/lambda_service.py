"""Lambda's asynchronous invocations on loopback: events are accepted, kept, handed to processes, and tried again.

Each process serves one event after the other, as a sandbox does. A process that dies, or whose handler raises, has
failed its event: it is tried again after `retry_after` seconds, `retries` times, and then is in `dead`.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

from .canaries import CANARIES
from .lambda_function import ROOT

Event = dict[str, Any]

# What the managed runtime does: import the handler, call it with each event and its context.
RUNTIME = """
import importlib, json, os, sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
told = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what the function prints is its log
class Context:
    def get_remaining_time_in_millis(self):
        return 900_000
handler = importlib.import_module("app").app
print("ready", file=told, flush=True)
for line in sys.stdin:
    try:
        handler(json.loads(line), Context())
        print("done", file=told, flush=True)
    except Exception as error:
        print(f"failed {type(error).__name__}", file=told, flush=True)
"""


class LambdaService:
    """`task_root` is the function's folder, `environ` the environment of its processes."""

    def __init__(
        self,
        task_root: Path,
        environ: dict[str, str],
        *,
        sandboxes: int,
        retries: int = 2,
        retry_after: float = 1.0,
    ) -> None:
        self.events: list[Event] = []  # all that were accepted
        self.dead: list[Event] = []
        self.failures: list[str] = []
        self._command = [sys.executable, "-c", RUNTIME, str(task_root), str(ROOT / "layers/core")]
        self._environ = environ
        self.retries = retries
        self._retry_after = retry_after
        self._waiting: queue.SimpleQueue[tuple[Event, int] | None] = queue.SimpleQueue()
        self._running: dict[int, subprocess.Popen[str]] = {}  # by sandbox; while an event is being handled
        self._logs: list[IO[str]] = []  # what its processes print
        self._stopping = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._door())
        self._threads = [threading.Thread(target=self._server.serve_forever, daemon=True)]
        self._threads += [
            threading.Thread(target=self._sandbox, args=(n,), daemon=True) for n in range(sandboxes)
        ]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> LambdaService:
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        self._stopping = True
        self._server.shutdown()
        self._server.server_close()
        for _ in self._threads[1:]:
            self._waiting.put(None)
        self.kill(len(self._threads))
        for thread in self._threads:
            thread.join(10)
        for log in self._logs:
            CANARIES.check_log(Path(log.name).read_text(errors="replace"), "the function's log")
            log.close()

    def forget(self) -> None:
        """As new: nothing was accepted, nothing runs."""
        self.kill(len(self._threads))
        self.events, self.dead, self.failures = [], [], []

    def deliver(self, event: Event) -> None:
        """One more delivery of an event."""
        self._waiting.put((event, 0))

    def kill(self, count: int) -> int:
        """SIGKILL to at most `count` processes that handle an event; how many there were."""
        victims = list(self._running.values())[:count]
        for victim in victims:
            victim.kill()
        return len(victims)

    @property
    def busy(self) -> int:
        return len(self._running)

    def _door(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                assert self.headers["x-amz-invocation-type"] == "Event", self.headers
                service.events.append(json.loads(body))
                service.deliver(json.loads(body))
                self.send_response(202)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        return Door

    def _sandbox(self, number: int) -> None:
        process: subprocess.Popen[str] | None = None
        while (taken := self._waiting.get()) is not None:
            event, tried = taken
            if process is None:
                process = self._start()
            assert process.stdin and process.stdout
            self._running[number] = process
            try:
                process.stdin.write(json.dumps(event) + "\n")
                process.stdin.flush()
                outcome = process.stdout.readline().strip()
            except BrokenPipeError:
                outcome = ""
            del self._running[number]
            if outcome == "done" or self._stopping:
                continue
            if not outcome:
                _discard(process)
                process = None
            self.failures.append(outcome or "killed")
            self._try_again(event, tried)
        if process:
            _discard(process)

    def _start(self) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        log = tempfile.NamedTemporaryFile("w+")  # noqa: SIM115 - closed with the service
        self._logs.append(log)
        process = subprocess.Popen(
            self._command, env=self._environ, stdin=pipe, stdout=pipe, stderr=log, text=True
        )
        assert process.stdout
        if process.stdout.readline() != "ready\n":
            _discard(process)
            raise RuntimeError("the function cannot be imported")
        return process

    def _try_again(self, event: Event, tried: int) -> None:
        if tried >= self.retries:
            self.dead.append(event)
        else:
            time.sleep(self._retry_after)
            self._waiting.put((event, tried + 1))


def _discard(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream:
            with suppress(BrokenPipeError):
                stream.close()
