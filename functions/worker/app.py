"""What outlives its request: the worker, invoked asynchronously with one task, which it finds in the table.

{"background": {"tenant", "response_id"}}   runs a background response; once, however often it is told
{"websocket": connection}                   answers what waits at a WebSocket connection
{"sweep": true}                             ends the responses and connections whose worker has died; every minute

Whatever fails here is tried again by Lambda, and then is a dead letter: nothing of it but names and ids.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

from openresponses.secrets import SecretsManagerSecrets
from openresponses.settings import Settings, with_layer_config

secrets = SecretsManagerSecrets(os.environ["PROVIDER_SECRET_ARN"], os.environ)
secrets.prefetch()

from openresponses.cloudwatch import CloudWatchTelemetry, start_logging  # noqa: E402
from openresponses.engine.background import Background  # noqa: E402
from openresponses.engine.held import HeldConnections  # noqa: E402
from openresponses.engine.hosted_tools import load_tools  # noqa: E402
from openresponses.engine.middleware import configured_middlewares  # noqa: E402
from openresponses.engine.services import Services  # noqa: E402
from openresponses.lambda_worker import LambdaWorker  # noqa: E402
from openresponses.routing import Router  # noqa: E402
from openresponses.sealing import Sealer, secret_keys  # noqa: E402
from openresponses.store.dynamodb import DynamoDBStore  # noqa: E402
from openresponses.store.dynamodb_connections import DynamoDBConnections  # noqa: E402
from openresponses.store.dynamodb_table import Table  # noqa: E402
from openresponses.upstream.api_gateway import ApiGateway  # noqa: E402
from openresponses.upstream.breaker import Breaker  # noqa: E402
from openresponses.upstream.client import Upstream  # noqa: E402

Json = dict[str, Any]

MARGIN = 5.0  # seconds before Lambda's deadline by which the end must be stored

settings = Settings.load(with_layer_config(os.environ))
start_logging(settings.log_level)
loop = asyncio.new_event_loop()


async def make_services() -> Services:
    """In the loop that serves every invocation, so that connections live on from one to the next."""
    router = Router(settings)
    store = DynamoDBStore(os.environ["TABLE_NAME"], int(settings.history_ttl_days * 86400))
    sealer = Sealer(secret_keys(os.environ["SEALING_SECRET_ARN"]))
    upstream = Upstream(settings.connect_timeout)
    tools = load_tools(router.tools, secrets)
    telemetry = CloudWatchTelemetry()
    breaker = Breaker(settings.breaker_failures, settings.breaker_seconds)
    return Services(
        settings,
        router,
        secrets,
        store,
        upstream,
        tools,
        mcp=router.mcp,
        telemetry=telemetry,
        sealer=sealer,
        breaker=breaker,
        middlewares=configured_middlewares(router),
    )


async def nobody(tenant: str, response_id: str) -> None:
    raise RuntimeError("the worker queues nothing")


services = loop.run_until_complete(make_services())
background = Background(services, nobody)
connections = HeldConnections(
    services,
    DynamoDBConnections(Table(os.environ["TABLE_NAME"]), services.sealer),
    ApiGateway(os.environ["WEBSOCKET_URL"]),
    LambdaWorker(os.environ["AWS_LAMBDA_FUNCTION_NAME"] + ":live").answer_connection,
)


def app(event: Json, context: Any) -> None:
    """Does the event's task; an event with none of them is a KeyError."""
    (task,) = TASKS.keys() & event.keys() or {"unknown"}
    deadline = loop.time() + context.get_remaining_time_in_millis() / 1000 - MARGIN
    loop.run_until_complete(TASKS[task](event[task], deadline))


async def run_response(asked: Json, deadline: float) -> None:
    await background.run(asked["tenant"], asked["response_id"], deadline=deadline)


async def answer_connection(connection: str, deadline: float) -> None:
    await connections.run(connection, deadline)


async def sweep(_: bool, deadline: float) -> None:
    await background.sweep()
    await connections.sweep()


TASKS: dict[str, Callable[[Any, float], Coroutine[Any, Any, None]]] = {
    "background": run_response,
    "websocket": answer_connection,
    "sweep": sweep,
}
