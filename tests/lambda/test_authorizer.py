"""The built authorizer, in a process of its own with what the managed runtime has: boto3."""

from __future__ import annotations

import hashlib
import json
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts import stand_in
from tests.support.deployment import Deployment
from tests.support.issuer import AUDIENCE, Issuer
from tests.support.lambda_function import rest_event
from tests.support.waiting import wait_for

ARN = "arn:aws:execute-api:eu-west-1:123456789012:abc123/live"


class Authorizer:
    def __init__(self, deployment: Deployment, task_root: Path, **more: str) -> None:
        environment = {"TABLE_NAME": deployment.table, "AWS_ENDPOINT_URL": deployment.endpoint}
        environment |= {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}
        environment |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
        environment |= {"PYTHONPATH": str(deployment.opt / "python"), "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {"OPENRESPONSES_OIDC_ISSUER": "", **more}
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

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout
        self.logged: list[str] = []
        while (line := self.process.stdout.readline()).startswith('{"level"'):
            self.logged.append(line)
        told: dict[str, Any] = json.loads(line)
        return told


@pytest.fixture(scope="module")
def authorizer(deployment: Deployment) -> Iterator[Authorizer]:
    started = Authorizer(deployment, deployment.artifacts / "AuthorizerFunction")
    yield started
    started.stop()


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
    broken = Deployment(**{**deployment.__dict__, "table": "no-such-table"})
    stray = Authorizer(broken, deployment.artifacts / "AuthorizerFunction")
    try:
        assert "ResourceNotFoundException" in stray.key("or-any")["error"]
        assert "authorizer failed" in stray.logged[0]
    finally:
        stray.stop()


def test_it_starts_without_the_gateway_and_answers_at_once(
    deployment: Deployment, authorizer: Authorizer
) -> None:
    unwanted = {
        "openresponses",
        "jwt",
        "cryptography",
        "pydantic",
        "starlette",
        "httpx",
        "mangum",
        "aws_lambda_powertools",
    }
    assert not unwanted & set(authorizer.started["modules"])
    key = deployment.keys.create("acme")
    times = [authorizer.key(key)["seconds"] for _ in range(20)]
    assert statistics.median(times) < 0.05  # most of it moto's


# --------------------------------------------------------------------------- the day of the last use


def used_on(deployment: Deployment, tenant: str) -> str | None:
    (key,) = deployment.keys.list(tenant)
    return key.used_on


def test_the_day_of_the_last_use(deployment: Deployment, authorizer: Authorizer) -> None:
    key = deployment.keys.create("used", limits={"requests_per_minute": 60})
    assert used_on(deployment, "used") is None
    assert "answer" in authorizer.key(key)
    wait_for(lambda: used_on(deployment, "used"))
    assert used_on(deployment, "used") == time.strftime("%Y-%m-%d", time.gmtime())
    (known,) = deployment.keys.list("used")
    assert known.limits == {"requests_per_minute": 60}


def test_a_use_that_cannot_be_written_neither_fails_nor_slows(deployment: Deployment, tmp_path: Path) -> None:
    """The write hangs for seconds, then fails; and so does every other table's: the answer is there at once."""
    source = (deployment.artifacts / "AuthorizerFunction/app.py").read_text()
    hanging = """
def hang(**asked):
    time.sleep(30)
    raise RuntimeError
CLIENT.update_item = hang
"""
    (tmp_path / "app.py").write_text(source + hanging)
    stuck = Authorizer(deployment, tmp_path)
    try:
        key = deployment.keys.create("stuck")
        first, second = stuck.key(key), stuck.key(key)
        assert first["answer"] == second["answer"] and first["seconds"] < 1
        assert used_on(deployment, "stuck") is None
    finally:
        stuck.stop()


# --------------------------------------------------------------------------- tokens


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    started = Issuer()
    started.add("one")
    yield started
    started.close()


@pytest.fixture(scope="module")
def with_tokens(deployment: Deployment, issuer: Issuer) -> Iterator[Authorizer]:
    settings = {"ISSUER": issuer.url, "AUDIENCE": AUDIENCE, "TENANT_CLAIM": "tenant"}
    given = {f"OPENRESPONSES_OIDC_{name}": value for name, value in settings.items()}
    started = Authorizer(deployment, deployment.artifacts / "AuthorizerFunction", **given)
    assert not {"openresponses", "jwt", "cryptography"} & set(started.started["modules"])
    yield started
    started.stop()


def test_a_token_gets_its_tenant_for_the_whole_stage(with_tokens: Authorizer, issuer: Issuer) -> None:
    token = issuer.token("one")
    answer = with_tokens.key(token)["answer"]
    assert answer["principalId"] == "acme" and answer["context"]["limits"] == "{}"
    assert answer["context"]["key_id"].startswith("oidc-")
    (statement,) = answer["policyDocument"]["Statement"]
    assert statement["Resource"] == f"{ARN}/*"
    asked = len(issuer.asked)
    assert with_tokens.key(token)["answer"] == answer and len(issuer.asked) == asked


def test_keys_count_beside_tokens(
    deployment: Deployment, with_tokens: Authorizer, authorizer: Authorizer, issuer: Issuer
) -> None:
    key = deployment.keys.create("acme")
    assert with_tokens.key(key)["answer"]["context"]["tenant"] == "acme"
    assert authorizer.key(issuer.token("one"))["error"] == "Unauthorized"  # where no issuer is named


@pytest.mark.parametrize(
    "token",
    [
        lambda issuer: issuer.token("one", exp=1),
        lambda issuer: issuer.token("one", aud="another"),
        lambda issuer: issuer.token("one", tenant="Acme"),
        lambda issuer: issuer.token("one", header={"kid": "unknown"}),
        lambda issuer: issuer.token("one")[:-8] + "AAAAAAAA",
        lambda issuer: "eyJhbGciOiJub25lIn0.e30.",
    ],
    ids=["expired", "audience", "tenant", "kid", "signature", "none"],
)
def test_tokens_that_are_refused(
    with_tokens: Authorizer, issuer: Issuer, token: Callable[[Issuer], str]
) -> None:
    """tests/test_oidc.py has the others."""
    sent = token(issuer)
    assert with_tokens.key(sent)["error"] == "Unauthorized"
    assert "token refused" in with_tokens.logged[0] and sent not in with_tokens.logged[0]


def test_an_issuer_that_is_down_is_not_a_401(deployment: Deployment) -> None:
    gone = Issuer()
    gone.add("one")
    token = gone.token("one")
    gone.close()
    given = {"ISSUER": gone.url, "AUDIENCE": AUDIENCE, "TENANT_CLAIM": "tenant"}
    settings = {f"OPENRESPONSES_OIDC_{name}": value for name, value in given.items()}
    alone = Authorizer(deployment, deployment.artifacts / "AuthorizerFunction", **settings)
    try:
        answer = alone.key(token)
        assert answer["error"] != "Unauthorized" and "authorizer failed" in alone.logged[0]
    finally:
        alone.stop()
