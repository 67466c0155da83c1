"""The vendors' own client libraries, unmodified, in front of the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import openai
import pytest

from ..support.gateway import Gateway


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.base_url}/v1", api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{gateway.base_url}/v1", api_key="unused", max_retries=0
    ) as client:
        yield client
