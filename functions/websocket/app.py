"""The WebSocket API's routes: connections and messages become rows, the worker function answers them.

$connect → a row · $disconnect → its rows go · response.create, $default → a message, and an asynchronous invocation of
the worker, which carries the connection's id only.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from typing import Any

import orjson
from aws_lambda_powertools import Logger
from openresponses.lambda_worker import LambdaWorker
from openresponses.protocol.websocket import envelope, too_many_waiting
from openresponses.sealing import Sealer, secret_keys
from openresponses.settings import Settings
from openresponses.store.connections import Gone, TooManyWaiting
from openresponses.store.dynamodb_connections import DynamoDBConnections
from openresponses.store.dynamodb_table import Table
from openresponses.store.retention import Retention
from openresponses.upstream.api_gateway import ApiGateway

Json = dict[str, Any]

Logger(service="openresponses", level=Settings.load(os.environ).log_level)
sealer = Sealer(secret_keys(os.environ["SEALING_SECRET_ARN"]))
connections = DynamoDBConnections(Table(os.environ["TABLE_NAME"]), sealer)
api_gateway = ApiGateway(os.environ["WEBSOCKET_URL"])
worker = LambdaWorker(os.environ["WORKER_FUNCTION"])
loop = asyncio.new_event_loop()


def app(event: Json, context: object) -> Json:
    """Answers an event of API Gateway's WebSocket API; a status other than 200 refuses a connection."""
    asked = event["requestContext"]
    answer = ROUTES.get(asked["routeKey"], message)
    return {"statusCode": loop.run_until_complete(answer(asked["connectionId"], asked, event))}


async def connect(connection: str, asked: Json, event: Json) -> int:
    """The tenant comes from the authorizer alone; without one there is no connection."""
    authorizer = asked.get("authorizer") or {}
    if not authorizer.get("tenant"):
        return 401
    limits = json.loads(authorizer.get("limits") or "{}")
    await connections.open(
        connection,
        authorizer["tenant"],
        Retention.of(limits),
        key_id=authorizer.get("key_id"),
        limits=limits,
    )
    return 200


async def disconnect(connection: str, asked: Json, event: Json) -> int:
    await connections.close(connection)
    return 200


async def message(connection: str, asked: Json, event: Json) -> int:
    text = event.get("body") or ""
    body = base64.b64decode(text) if event.get("isBase64Encoded") else text.encode()
    try:
        known = await connections.send(connection, body, asked["requestTimeEpoch"], asked["requestId"])
    except TooManyWaiting:
        await refuse(connection)
        return 200
    if known:
        await worker.answer_connection(connection)
    return 200


async def refuse(connection: str) -> None:
    """A client that sends on and on loses its connection, as at the local server."""
    try:
        await api_gateway.post(connection, orjson.dumps(envelope(too_many_waiting())))
        await api_gateway.close(connection)
    except Gone:
        pass
    await connections.close(connection)


ROUTES = {"$connect": connect, "$disconnect": disconnect}
