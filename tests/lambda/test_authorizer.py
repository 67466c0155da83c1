"""The built authorizer, in a process of its own with what the managed runtime has: boto3."""

from __future__ import annotations

import hashlib
import json
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts import stand_in
from tests.support.deployment import Deployment
from tests.support.lambda_function import rest_event

ARN = "arn:aws:execute-api:eu-west-1:123456789012:abc123/live"


class Authorizer:
    def __init__(self, deployment: Deployment, task_root: Path) -> None:
        environment = {"TABLE_NAME": deployment.table, "AWS_ENDPOINT_URL": deployment.endpoint}
        environment |= {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}
        environment |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
        environment |= {"PYTHONPATH": str(deployment.opt / "python"), "PYTHONDONTWRITEBYTECODE": "1"}
        script = Path(__file__).with_name("authorize.py")
        self.process = subprocess.Popen(
            [deployment.python, str(script), str(task_root)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.started = self._read()

    def ask(
        self, headers: dict[str, str] | None, method: str = "POST", path: str = "/v1/responses"
    ) -> dict[str, Any]:
        event = rest_event(method, path)
        event |= {"type": "REQUEST", "methodArn": f"{ARN}/{method}{path}", "headers": headers}
        assert self.process.stdin
        self.process.stdin.write(json.dumps(event) + "\n")
        self.process.stdin.flush()
        return self._read()

    def key(self, key: str, **more: str) -> dict[str, Any]:
        return self.ask({"Authorization": f"Bearer {key}", **more})

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout
        while (line := self.process.stdout.readline()) and "authorizer failed" in line:
            pass
        told: dict[str, Any] = json.loads(line)
        return told


@pytest.fixture(scope="module")
def authorizer(deployment: Deployment) -> Iterator[Authorizer]:
    started = Authorizer(deployment, deployment.artifacts / "AuthorizerFunction")
    yield started
    started.process.terminate()
    started.process.communicate()


def test_a_known_key_gets_its_tenant_for_the_whole_stage(
    deployment: Deployment, authorizer: Authorizer
) -> None:
    key = deployment.keys.create("acme", limits={"rpm": 60})
    answer = authorizer.key(key)["answer"]
    assert answer["principalId"] == "acme"
    id = hashlib.sha256(key.encode()).hexdigest()[:12]
    assert answer["context"] == {"tenant": "acme", "key_id": id, "limits": '{"rpm": 60}'}
    (statement,) = answer["policyDocument"]["Statement"]
    assert statement == {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": f"{ARN}/*"}
    assert authorizer.ask({"authorization": f"bearer  {key} "}, "GET", "/v1/models")["answer"] == answer


@pytest.mark.parametrize(
    "headers",
    [
        None,
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer or-unknown"},
        {"X-Api-Key": "or-unknown"},
    ],
    ids=str,
)
def test_anything_else_is_unauthorized(authorizer: Authorizer, headers: dict[str, str] | None) -> None:
    assert authorizer.ask(headers)["error"] == "Unauthorized"


def test_a_key_that_has_expired_is_disabled_or_revoked(
    deployment: Deployment, authorizer: Authorizer
) -> None:
    now = int(time.time())
    assert "answer" in authorizer.key(deployment.keys.create("acme", expires_at=now + 60))
    assert authorizer.key(deployment.keys.create("acme", expires_at=now - 1))["error"] == "Unauthorized"

    key = deployment.keys.create("guest")
    assert "answer" in authorizer.key(key)
    (known,) = deployment.keys.list("guest")
    place = {"pk": {"S": f"K#{known.id}"}, "sk": {"S": "head"}}
    dynamodb = stand_in.client("dynamodb", deployment.endpoint)
    change = {"UpdateExpression": "SET disabled = :d", "ExpressionAttributeValues": {":d": {"BOOL": True}}}
    dynamodb.update_item(TableName=deployment.table, Key=place, **change)
    assert authorizer.key(key)["error"] == "Unauthorized"

    key = deployment.keys.create("leaver")
    (known,) = deployment.keys.list("leaver")
    assert not deployment.keys.revoke("leaver", known.id[:4])
    assert deployment.keys.revoke("leaver", known.id[:8])
    assert authorizer.key(key)["error"] == "Unauthorized"
    assert deployment.keys.list("leaver") == []


def test_only_the_hash_is_stored(deployment: Deployment) -> None:
    key = deployment.keys.create("acme", "laptop")
    rows = stand_in.client("dynamodb", deployment.endpoint).scan(TableName=deployment.table)["Items"]
    assert key not in json.dumps(rows, default=str) and key.removeprefix("or-") not in json.dumps(
        rows, default=str
    )
    assert "laptop" in [known.name for known in deployment.keys.list("acme")]


def test_a_broken_table_is_not_a_401(deployment: Deployment) -> None:
    """API Gateway answers 500, the client tries again, and the alarm sees it."""
    stray = Authorizer.__new__(Authorizer)
    broken = Deployment(**{**deployment.__dict__, "table": "no-such-table"})
    Authorizer.__init__(stray, broken, deployment.artifacts / "AuthorizerFunction")
    try:
        assert "ResourceNotFoundException" in stray.key("or-any")["error"]
    finally:
        stray.process.terminate()
        stray.process.communicate()


def test_it_starts_without_the_gateway_and_answers_at_once(
    deployment: Deployment, authorizer: Authorizer
) -> None:
    unwanted = {"openresponses", "pydantic", "starlette", "httpx", "mangum", "aws_lambda_powertools"}
    assert not unwanted & set(authorizer.started["modules"])
    key = deployment.keys.create("acme")
    times = [authorizer.key(key)["seconds"] for _ in range(20)]
    assert statistics.median(times) < 0.05  # most of it moto's
