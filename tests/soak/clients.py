"""The clients of a soak: each streams one answer after another, and counts how they end."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Callable

import aiohttp

from ..support.speech import MODELS
from .provider import FAILING

TERMINAL = re.compile(rb"^event: response\.(completed|incomplete|failed)$", re.MULTILINE)
DONE = b"\n\ndata: [DONE]\n\n"
ONE_IN = 10  # answers whose provider fails; as many whose client vanishes
PROVIDERS = [model.partition("/")[0] for model in MODELS.values()]
LONGEST = 60.0  # seconds


class Clients:
    """`ended` counts the ends of the answers, `wrong` has what is not as it must be."""

    def __init__(self, url: str, *, seed: int = 8) -> None:
        self.ended: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._url = url
        self._chance = random.Random(seed)
        self._asked = 0

    async def stream(self, at_once: int, until: float, each: Callable[[], None] = lambda: None) -> None:
        """Keeps so many streams open until then (monotonic seconds), and waits for their ends. Calls `each` once a
        second."""
        timeout = aiohttp.ClientTimeout(total=LONGEST)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            clients = [asyncio.create_task(self._client(session, until)) for _ in range(at_once)]
            while time.monotonic() < until:
                await asyncio.sleep(1)
                each()
            await asyncio.gather(*clients)

    async def _client(self, session: aiohttp.ClientSession, until: float) -> None:
        await asyncio.sleep(self._chance.uniform(0, 4))  # they do not march in step
        while time.monotonic() < until:
            self._asked += 1
            number = self._asked
            failing, vanishing = number % ONE_IN == 0, number % ONE_IN == ONE_IN // 2
            model = f"{self._chance.choice(PROVIDERS)}/{FAILING if failing else 'well'}-{number}"
            patience = self._chance.uniform(0, 4) if vanishing else None
            try:
                async with asyncio.timeout(patience):
                    self._count(model, failing, *await self._ask(session, model))
            except TimeoutError:
                if vanishing:
                    self.ended["vanished"] += 1
                else:
                    self._lost(f"{model}: no end within {LONGEST:g} s")
            except aiohttp.ClientError as error:
                self._lost(f"{model}: {type(error).__name__}")

    async def _ask(self, session: aiohttp.ClientSession, model: str) -> tuple[int, bytes]:
        request = {"model": model, "input": "hi", "stream": True}
        async with session.post(f"{self._url}/v1/responses", json=request) as reply:
            return reply.status, await reply.read()

    def _count(self, model: str, failing: bool, status: int, body: bytes) -> None:
        ends = TERMINAL.findall(body)
        if status != 200:
            end = f"refused, {status}"
        elif len(ends) == 1 and body.endswith(DONE):
            end = ends[0].decode()
        else:
            self._lost(f"{model}: {len(ends)} terminal events, the last words {body[-60:]!r}")
            return
        self.ended[end] += 1
        if not failing and end != "completed":
            self.wrong.append(f"{model}: {end}, though its provider did not fail: {body[-300:]!r}")

    def _lost(self, what: str) -> None:
        self.ended["lost"] += 1
        self.wrong.append(what)
