"""API Gateway's side of a WebSocket: frames out, connections closed, by its management API (`@connections`).

boto3 is imported with the first call; each call is made in a thread.
"""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import Any

from ..store.connections import Gone

FRAME_BYTES = 128 * 1024  # "Payload size" of API Gateway's WebSocket quotas


class ApiGateway:
    """`url` is the stage's address as https. Frames of a connection go out in the order of the calls."""

    frame_bytes = FRAME_BYTES

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Any = None
        self._lock = threading.Lock()

    async def post(self, connection: str, frame: bytes) -> None:
        """Raises Gone, also where API Gateway cannot be reached after some attempts."""
        await asyncio.to_thread(
            partial(self._call, "post_to_connection", ConnectionId=connection, Data=frame)
        )

    async def close(self, connection: str) -> None:
        await asyncio.to_thread(partial(self._call, "delete_connection", ConnectionId=connection))

    def _call(self, operation: str, **arguments: Any) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        with self._lock:
            if self._client is None:
                self._client = self._make_client()
        try:
            getattr(self._client, operation)(**arguments)
        except (ClientError, BotoCoreError) as error:
            raise Gone(type(error).__name__) from None

    def _make_client(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=2, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 6}
        )
        return boto3.client("apigatewaymanagementapi", endpoint_url=self._url, config=config)
