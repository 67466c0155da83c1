"""Secrets: from the environment, and from one JSON secret in Secrets Manager (moto's) as its value changes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from openresponses.protocol.errors import ApiError
from openresponses.secrets import EnvironmentSecrets, SecretsManagerSecrets

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
        self.arn = self.client.create_secret(Name="providers", SecretString="{}")["ARN"]
        self.reads = 0
        make = boto3.session.Session.client

        def counted(session: Any, *names: Any, **options: Any) -> Any:
            client = make(session, *names, **options)
            client.meta.events.register("before-call.secretsmanager.GetSecretValue", self._count)
            return client

        monkeypatch.setattr(boto3.session.Session, "client", counted)

    def _count(self, **_: Any) -> None:
        self.reads += 1

    def put(self, value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        self.client.put_secret_value(SecretId=self.arn, SecretString=text)


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> Iterator[Secret]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield Secret(monkeypatch)


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
    arn = secret.client.create_secret(Name="unwritten")["ARN"]
    secrets = SecretsManagerSecrets(arn, {})
    assert await secrets.get(KEY) is None
    secret.client.put_secret_value(SecretId=arn, SecretString=json.dumps({KEY: "k1"}))
    assert await secrets.refresh(KEY) == "k1"


async def test_a_secret_that_does_not_exist_is_a_fault(secret: Secret) -> None:
    with pytest.raises(ApiError) as raised:
        await SecretsManagerSecrets(secret.arn + "-gone", {}).get(KEY)
    assert raised.value.code == "server_error"
