"""ASGI apps that do one thing each to the runtime; the path names it."""

import asyncio
import contextlib
import json
import os
import time

STARTED: list[str] = []
LEFTOVERS: list[str] = []


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    else:
        await PAGES[scope["path"]](scope, receive, send)


async def lifespan(scope, receive, send):
    await receive()
    if os.environ.get("FAIL_STARTUP"):
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        return
    STARTED.append("up")
    scope["state"]["pool"] = f"pool-{len(STARTED)}"
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("shut down", flush=True)
    await send({"type": "lifespan.shutdown.complete"})


async def start(send, content_type=b"text/event-stream", status=200, headers=()):
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", content_type), *headers],
        }
    )


async def body(send, data=b"", more=True):
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def scope_page(scope, receive, send):
    """What the app was told."""
    request = await receive()
    context = scope["aws.context"]
    told = {
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode(),
        "headers": {name.decode(): value.decode() for name, value in scope["headers"]},
        "body": request["body"].decode(),
        "tenant": scope["openresponses.tenant"],
        "limits": scope["openresponses.limits"],
        "key_id": scope["openresponses.key_id"],
        "left": scope["openresponses.deadline"] - time.monotonic(),
        "left_ms": context.get_remaining_time_in_millis(),
        "request_id": context.aws_request_id,
        "memory": context.memory_limit_in_mb,
        "trace": os.environ.get("_X_AMZN_TRACE_ID"),
        "state": scope["state"],
        "pid": os.getpid(),
        "loop": id(asyncio.get_running_loop()),
        "leftovers": LEFTOVERS,
    }
    cookies = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"content-length", b"7")]
    await start(send, b"application/json", 201, cookies)
    await body(send, json.dumps(told).encode(), more=False)


async def ticks(scope, receive, send):
    """A record every 100 ms, and the app's own time in it."""
    await start(send)
    for n in range(5):
        await body(send, f"data: {json.dumps({'n': n, 'at': time.monotonic()})}\n\n".encode())
        await asyncio.sleep(0.1)
    await body(send, more=False)


async def fail_before(scope, receive, send):
    await start(send)
    await body(send)
    raise ValueError("canary")


async def fail_after(scope, receive, send):
    await start(send)
    await body(send, b"data: 1\n\n")
    await body(send, b"data: 2\n\n")
    raise ValueError("canary")


async def fail_after_json(scope, receive, send):
    await start(send, b"application/json")
    await body(send, b'{"half":')
    raise ValueError("canary")


async def unfinished(scope, receive, send):
    await start(send)
    await body(send, b"data: 1\n\n")


async def hang(scope, receive, send):
    await start(send)
    await body(send, b"data: 1\n\n")
    await asyncio.sleep(60)


async def disconnect(scope, receive, send):
    """Watches for a disconnect all through the answer, as Starlette does."""
    seen = []

    async def watch():
        while True:
            message = await receive()
            seen.append(message["type"])
            if message["type"] == "http.disconnect":
                return

    watcher = asyncio.create_task(watch())
    await start(send)
    await asyncio.sleep(0.1)
    await body(send, json.dumps(seen).encode())
    await asyncio.sleep(0.1)
    await body(send, json.dumps(seen).encode(), more=False)
    await watcher
    LEFTOVERS.append(" ".join(seen))


async def leftover(scope, receive, send):
    """Work after the last byte."""

    async def later():
        await asyncio.sleep(0.3)
        LEFTOVERS.append("written")

    async def broken():
        raise ValueError("canary")

    scope["state"]["tasks"] = [asyncio.create_task(later()), asyncio.create_task(broken())]
    await start(send)
    await body(send, b"data: 1\n\n", more=False)


async def endless(scope, receive, send):
    scope["state"]["tasks"] = [asyncio.create_task(asyncio.sleep(60))]
    await start(send)
    await body(send, b"data: 1\n\n", more=False)


async def big(scope, receive, send):
    """20 MB as fast as it goes, with a heartbeat beside it."""
    beats = 0

    async def beat():
        nonlocal beats
        while True:
            await asyncio.sleep(0.01)
            beats += 1

    heart = asyncio.create_task(beat())
    await start(send, b"application/octet-stream")
    begun = time.monotonic()
    for _ in range(320):
        await body(send, b"x" * 65536)
    took = time.monotonic() - begun
    heart.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await heart
    await body(send, json.dumps({"beats": beats, "seconds": took}).encode(), more=False)


async def empty(scope, receive, send):
    await start(send, status=204)
    await body(send, more=False)


async def one(scope, receive, send):
    await start(send)
    await body(send, b"data: 1\n\n", more=False)


PAGES = {
    "/scope": scope_page,
    "/ticks": ticks,
    "/fail-before": fail_before,
    "/fail-after": fail_after,
    "/fail-after-json": fail_after_json,
    "/unfinished": unfinished,
    "/hang": hang,
    "/disconnect": disconnect,
    "/leftover": leftover,
    "/endless": endless,
    "/big": big,
    "/empty": empty,
    "/one": one,
}
