"""The gateway on Lambda: settings → secrets → store → ASGI app. Driven by the streaming runtime (layers/runtime)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from openresponses.secrets import SecretsManagerSecrets
from openresponses.settings import Settings, with_layer_config

# First of all: the provider keys are fetched in a thread while the rest loads.
secrets = SecretsManagerSecrets(os.environ["PROVIDER_SECRET_ARN"], os.environ)
secrets.prefetch()

from openresponses.cloudwatch import CloudWatchTelemetry, start_logging  # noqa: E402
from openresponses.engine.caller import Caller  # noqa: E402
from openresponses.http.app import create_app  # noqa: E402
from openresponses.http.auth import bearer_owner, token_verifier  # noqa: E402
from openresponses.lambda_worker import LambdaWorker  # noqa: E402
from openresponses.sealing import Sealer, secret_keys  # noqa: E402
from openresponses.store.dynamodb import DynamoDBStore  # noqa: E402
from openresponses.store.dynamodb_keys import DynamoDBKeys  # noqa: E402

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

# API Gateway ends a silent answer after 300 s, and a JSON answer is silent until it is there.
DEFAULTS = {"OPENRESPONSES_MAX_JSON_SECONDS": "285", "OPENRESPONSES_PLAYGROUND": "0"}

settings = Settings.load(with_layer_config({**DEFAULTS, **os.environ}))
start_logging(settings.log_level)
store = DynamoDBStore(os.environ["TABLE_NAME"], int(settings.history_ttl_days * 86400))
by_bearer = bearer_owner(DynamoDBKeys(os.environ["TABLE_NAME"]), token_verifier(settings))


async def caller_of(request: HTTPConnection) -> Caller:
    """Whom the authorizer named; behind a front door without our authorizer, the bearer is checked here."""
    scope = request.scope
    if tenant := scope.get("openresponses.tenant"):
        return Caller(tenant, scope["openresponses.key_id"], scope["openresponses.limits"])
    return await by_bearer(request)


sealer = Sealer(secret_keys(os.environ["SEALING_SECRET_ARN"]))
worker = LambdaWorker(os.environ["WORKER_FUNCTION"])
app = create_app(
    settings,
    store,
    secrets,
    authenticate=caller_of,
    sealer=sealer,
    start_worker=worker.run_response,
    telemetry=CloudWatchTelemetry(),
)

if origins := os.environ.get("CORS_ORIGINS", "").replace(" ", ""):
    from starlette.middleware.cors import CORSMiddleware

    app = CORSMiddleware(
        app,
        allow_origins=origins.split(","),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=["x-request-id", "x-openresponses-ignored", "x-openresponses-route"],
        max_age=7200,
    )
