"""Secrets: from the environment, and from one JSON secret in Secrets Manager (moto's) as its value changes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from openresponses import aws_secret
from openresponses.aws_secret import SecretUnreadable, _signed, read_secret
from openresponses.protocol.errors import ApiError
from openresponses.secrets import EnvironmentSecrets, SecretsManagerSecrets

from .support.moto_server import moto_server

KEY = "OPENAI_API_KEY"
URL = "OPENAI_BASE_URL"


async def test_environment() -> None:
    environ = {KEY: " k\n", "XAI_API_KEY": "  "}
    secrets = EnvironmentSecrets(environ)
    assert [await secrets.get(name) for name in (KEY, "XAI_API_KEY", URL)] == ["k", None, None]
    environ[KEY] = "rotated"
    assert await secrets.refresh(KEY) == "rotated"


class Secret:
    """A secret in moto's Secrets Manager; `reads` counts the calls that fetched it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.client = boto3.client("secretsmanager")
        self.arn = self.client.create_secret(Name=f"providers-{uuid4().hex}", SecretString="{}")["ARN"]
        self.reads = 0
        monkeypatch.setattr("openresponses.secrets.read_secret", self._read)

    def _read(self, arn: str) -> str:
        self.reads += 1
        return read_secret(arn)

    def put(self, value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        self.client.put_secret_value(SecretId=self.arn, SecretString=text)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch, moto: str) -> Secret:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    return Secret(monkeypatch)


async def test_read_once_and_kept(secret: Secret) -> None:
    secret.put({KEY: " k1 ", "EMPTY": "", "NUMBER": 3})
    secrets = SecretsManagerSecrets(secret.arn, {})
    assert [await secrets.get(name) for name in (KEY, "EMPTY", "NUMBER", "ABSENT")] == [
        "k1",
        None,
        None,
        None,
    ]
    secret.put({KEY: "k2"})
    assert await secrets.get(KEY) == "k1"
    assert secret.reads == 1


async def test_refresh_reads_the_rotated_key(secret: Secret) -> None:
    secret.put({KEY: "k1"})
    secrets = SecretsManagerSecrets(secret.arn, {})
    assert await secrets.get(KEY) == "k1"
    secret.put({KEY: "k2"})
    assert await secrets.refresh(KEY) == "k2"
    assert await secrets.get(KEY) == "k2"
    assert secret.reads == 2


async def test_it_is_read_again_when_it_is_old(secret: Secret) -> None:
    secret.put({KEY: "k1"})
    secrets = SecretsManagerSecrets(secret.arn, {}, max_age=0.05)
    assert await secrets.get(KEY) == "k1"
    secret.put({KEY: "k2"})
    await asyncio.sleep(0.06)
    assert await secrets.get(KEY) == "k2"


async def test_one_read_at_a_time(secret: Secret) -> None:
    secret.put({KEY: "k1"})
    secrets = SecretsManagerSecrets(secret.arn, {})
    assert set(await asyncio.gather(*(secrets.get(KEY) for _ in range(50)))) == {"k1"}
    assert secret.reads == 1
    assert set(await asyncio.gather(*(secrets.refresh(KEY) for _ in range(50)))) == {"k1"}
    assert secret.reads == 2


def test_prefetch_needs_no_event_loop(secret: Secret) -> None:
    secret.put({KEY: "k1"})
    secrets = SecretsManagerSecrets(secret.arn, {})
    secrets.prefetch()
    assert asyncio.run(secrets.get(KEY)) == "k1"
    assert secret.reads == 1


async def test_a_cancelled_turn_does_not_cancel_the_others_read(secret: Secret) -> None:
    secret.put({KEY: "k1"})
    secrets = SecretsManagerSecrets(secret.arn, {})
    first, second = asyncio.ensure_future(secrets.get(KEY)), asyncio.ensure_future(secrets.get(KEY))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "k1"


async def test_only_base_urls_come_from_the_environment_first(secret: Secret) -> None:
    secret.put({KEY: "of-the-secret", URL: "https://of-the-secret", "XAI_BASE_URL": "https://x"})
    secrets = SecretsManagerSecrets(
        secret.arn, {KEY: "of-the-environment", URL: "https://of-the-environment"}
    )
    assert await secrets.get(URL) == "https://of-the-environment"
    assert await secrets.get("XAI_BASE_URL") == "https://x"
    assert await secrets.get(KEY) == "of-the-secret"


@pytest.mark.parametrize("broken", ["not JSON: sk-canary", '["sk-canary"]'])
async def test_what_was_read_stays_in_use(
    secret: Secret, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret.put({KEY: "k1"})
    secrets = SecretsManagerSecrets(secret.arn, {})
    assert await secrets.get(KEY) == "k1"
    secret.put(broken)
    with caplog.at_level(logging.ERROR):
        assert await secrets.refresh(KEY) == "k1"
    assert "cannot be read from Secrets Manager" in caplog.text and "sk-canary" not in caplog.text


async def test_a_secret_that_cannot_be_read_is_tried_again(secret: Secret) -> None:
    secret.put("sk-canary")
    secrets = SecretsManagerSecrets(secret.arn, {})
    with pytest.raises(ApiError) as caught:
        await secrets.get(KEY)
    assert caught.value.code == "server_error" and "canary" not in caught.value.message
    secret.put({KEY: "k1"})
    assert await secrets.get(KEY) == "k1"


async def test_a_secret_that_was_never_written_holds_no_keys(secret: Secret) -> None:
    arn = secret.client.create_secret(Name=f"unwritten-{uuid4().hex}")["ARN"]
    secrets = SecretsManagerSecrets(arn, {})
    assert await secrets.get(KEY) is None
    secret.client.put_secret_value(SecretId=arn, SecretString=json.dumps({KEY: "k1"}))
    assert await secrets.refresh(KEY) == "k1"


async def test_a_secret_that_does_not_exist_is_a_fault(secret: Secret) -> None:
    with pytest.raises(ApiError) as raised:
        await SecretsManagerSecrets(secret.arn + "-gone", {}).get(KEY)
    assert raised.value.code == "server_error"


def test_it_signs_as_botocore_does() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_SESSION_TOKEN": "token"}
    host, body = "secretsmanager.eu-west-1.amazonaws.com", b'{"SecretId":"arn"}'
    ours = _signed(host, "eu-west-1", body, environ)
    headers = {name: ours[name] for name in ("content-type", "x-amz-target")}
    request = AWSRequest("POST", f"https://{host}/", headers=headers, data=body)
    request.context["timestamp"] = ours["x-amz-date"]
    signer = SigV4Auth(Credentials("id", "key", "token"), "secretsmanager", "eu-west-1")
    with pytest.MonkeyPatch.context() as patch:
        then = datetime.strptime(ours["x-amz-date"], "%Y%m%dT%H%M%SZ")
        patch.setattr("botocore.auth.get_current_datetime", lambda *_: then)
        signer.add_auth(request)
    assert ours["authorization"] == request.headers["Authorization"]


def test_without_credentials_it_says_so() -> None:
    with pytest.raises(SecretUnreadable, match="AWS_ACCESS_KEY_ID"):
        read_secret("arn:aws:secretsmanager:eu-west-1:1:secret:x", {})


def test_a_server_in_trouble_is_asked_again(monkeypatch: pytest.MonkeyPatch, secret: Secret) -> None:
    secret.put({KEY: "k1"})
    real, calls = aws_secret._ask, []

    def ask(*given: Any) -> tuple[int, dict[str, Any]]:
        calls.append(given)
        if len(calls) == 1:
            raise ConnectionResetError
        return (500, {}) if len(calls) == 2 else real(*given)

    monkeypatch.setattr(aws_secret, "_ask", ask)
    assert json.loads(read_secret(secret.arn)) == {KEY: "k1"} and len(calls) == 3
