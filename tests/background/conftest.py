"""The deployment's parts in a row: a gateway over DynamoDB that invokes the worker function, as Lambda runs it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from openresponses.http.app import create_app
from openresponses.lambda_worker import LambdaWorker
from openresponses.sealing import Sealer, secret_keys
from openresponses.secrets import EnvironmentSecrets
from openresponses.store.dynamodb import DynamoDBStore

from scripts import stand_in

from ..support.gateway import Gateway, Server, environment
from ..support.lambda_function import ROOT
from ..support.lambda_service import LambdaService
from ..support.moto_server import moto_server
from ..support.provider import Provider

LEASE = 3.0  # seconds
RETRIES = 2
SETTINGS: dict[str, Any] = {"background_lease_seconds": LEASE, "background_queue_seconds": 20.0}


class AwsServer(Server):
    """The responses function's app, served by uvicorn."""

    def __init__(self, environ: dict[str, str], table: str, sealing: str, **settings: Any) -> None:
        super().__init__(environ, **settings)
        self._table = table
        self._sealing = sealing

    def make_app(self, settings: Any) -> Any:
        self.store = DynamoDBStore(self._table, 86400)
        return create_app(
            settings,
            self.store,
            EnvironmentSecrets(self.environ),
            sealer=Sealer(secret_keys(self._sealing)),
            start_worker=LambdaWorker("worker").run_response,
        )


@dataclass
class Deployed:
    """What a test gets: `servers` over one table, and the worker function behind them."""

    servers: list[Gateway]
    service: LambdaService
    table: str
    endpoint: str

    def rows(self) -> list[dict[str, Any]]:
        client = stand_in.client("dynamodb", self.endpoint)
        found: list[dict[str, Any]] = []
        for page in client.get_paginator("scan").paginate(TableName=self.table):
            found += page["Items"]
        return found

    def reset(self) -> None:
        """As new, but for what is loaded and connected."""
        self.service.forget()
        self.service.retries = RETRIES
        client = stand_in.client("dynamodb", self.endpoint)
        for row in self.rows():
            client.delete_item(TableName=self.table, Key={"pk": row["pk"], "sk": row["sk"]})


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def aws(moto: str) -> Iterator[dict[str, str]]:
    """The environment that leads to the stand-in for AWS."""
    settings = {
        "AWS_ENDPOINT_URL": moto,
        "AWS_DEFAULT_REGION": stand_in.REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in settings.items():
            environment.setenv(name, value)
        yield settings


@pytest.fixture(scope="module")
def stack(moto: str, aws: dict[str, str], provider: Provider, http: httpx.Client) -> Iterator[Deployed]:
    table = f"background-{uuid4().hex[:8]}"
    stand_in.make_table(moto, table)
    names = {
        "TABLE_NAME": table,
        "SEALING_SECRET_ARN": stand_in.make_sealing_secret(moto, f"{table}-sealing"),
        "PROVIDER_SECRET_ARN": stand_in.make_secret(moto, table, environment(provider.url)),
        "WEBSOCKET_URL": "http://127.0.0.1:1",
        "AWS_LAMBDA_FUNCTION_NAME": "worker",
    }
    settings = {f"OPENRESPONSES_{name.upper()}": str(value) for name, value in SETTINGS.items()}
    settings |= {"OPENRESPONSES_MAX_RETRIES": "0", "OPENRESPONSES_LOG_LEVEL": "ERROR"}
    environ = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **aws, **settings, **names}
    worker = ROOT / "functions/worker"
    service = LambdaService(worker, environ, sandboxes=3, retries=RETRIES, retry_after=0.5).start()
    with pytest.MonkeyPatch.context() as own:
        own.setenv("AWS_ENDPOINT_URL_LAMBDA", service.url)
        servers = [
            AwsServer(environment(provider.url), table, names["SEALING_SECRET_ARN"], **SETTINGS).start()
            for _ in range(2)
        ]
        yield Deployed([Gateway(server.url, provider, http) for server in servers], service, table, moto)
        for server in servers:
            server.stop()
    service.stop()


@pytest.fixture
def deployed(stack: Deployed) -> Deployed:
    stack.reset()
    return stack
