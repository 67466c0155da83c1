"""Starts the worker function on AWS: an asynchronous invocation that carries names and ids, never content."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any


class LambdaWorker:
    """Invokes `function` (a name or ARN). boto3 is imported with the first call."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._client: Any = None
        self._lock = threading.Lock()

    async def run_response(self, tenant: str, response_id: str) -> None:
        """Makes the worker run a queued response. Raises botocore's exceptions."""
        await asyncio.to_thread(self._invoke, {"background": {"tenant": tenant, "response_id": response_id}})

    async def answer_connection(self, connection: str) -> None:
        """Makes the worker answer what waits at a WebSocket connection. Raises botocore's exceptions."""
        await asyncio.to_thread(self._invoke, {"websocket": connection})

    def _invoke(self, task: dict[str, Any]) -> None:
        with self._lock:
            if self._client is None:
                self._client = _client()
        self._client.invoke(FunctionName=self._function, InvocationType="Event", Payload=json.dumps(task))


def _client() -> Any:
    import boto3
    from botocore.config import Config

    limits = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
    return boto3.client("lambda", config=limits)
