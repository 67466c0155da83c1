"""`openresponses keys` and `… secrets` against a stack (moto): what an operator types, and what comes of it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from openresponses import cli
from openresponses.cli import stack_secret

from scripts import stand_in
from tests.support.gateway import KEY
from tests.support.provider import Answer, Provider


class Operator:
    """A stack, and a terminal in a folder whose samconfig.toml names it."""

    def __init__(
        self, moto: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.name = f"stack-{uuid4().hex[:8]}"
        stand_in.make_table(moto, self.name)
        self.manager = stand_in.client("secretsmanager", moto)
        # As the template makes it: without a value.
        self.secret = self.manager.create_secret(Name=self.name)["ARN"]
        outputs = {"TableName": {"Value": self.name}, "ProviderSecretArn": {"Value": self.secret}}
        template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}, "Outputs": outputs}
        stand_in.client("cloudformation", moto).create_stack(
            StackName=self.name, TemplateBody=json.dumps(template)
        )
        Path("samconfig.toml").write_text(
            f'[default.global.parameters]\nstack_name = "{self.name}"\n'
            f'[default.deploy.parameters]\nregion = "{stand_in.REGION}"\n'
        )
        self.monkeypatch = monkeypatch
        self.capsys = capsys

    def run(self, *arguments: str, typed: str = "", answered: str = "", code: int = 0) -> str:
        """`typed`: a secret, which is not shown; `answered`: what is said to a question."""
        self.monkeypatch.setattr("sys.stdin", io.StringIO(f"{typed}\n" if typed else answered))
        assert cli.main(arguments) == code
        told = self.capsys.readouterr()
        assert not typed or typed not in told.out + told.err
        return told.out if code == 0 else told.err

    @property
    def values(self) -> Any:
        return json.loads(self.manager.get_secret_value(SecretId=self.secret)["SecretString"])


@pytest.fixture
def operator(
    moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Operator:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return Operator(moto, monkeypatch, capsys)


def test_keys(operator: Operator) -> None:
    key = operator.run("keys", "create", "--tenant", "acme", "--name", "laptop").strip()
    assert key.startswith("or-") and len(key) > 40
    operator.run("keys", "create", "--tenant", "acme", "--days", "7")
    listed = operator.run("keys", "list", "--tenant", "acme")
    assert key not in listed and listed.count("\n") == 2 and "laptop" in listed and "until" in listed
    (line,) = [line for line in listed.splitlines() if "laptop" in line]
    operator.run("keys", "revoke", "--tenant", "acme", line.split()[0])
    assert "laptop" not in operator.run("keys", "list", "--tenant", "acme")
    assert "not exactly one" in operator.run("keys", "revoke", "--tenant", "acme", "00000000", code=2)
    assert "a-z" in operator.run("keys", "create", "--tenant", "Acme#", code=2)


def test_retention_of_a_key(operator: Operator) -> None:
    operator.run("keys", "create", "--tenant", "acme", "--retention-days", "0.5")
    operator.run("keys", "create", "--tenant", "none", "--zero-retention")
    told = [operator.run("tenants", "export", tenant) for tenant in ("acme", "none")]
    assert [json.loads(line)["limits"] for line in told] == [
        {"retention_days": 0.5},
        {"zero_retention": True},
    ]
    for days in ("0", "-1"):
        told = [operator.run("keys", "create", "--tenant", "acme", f"--retention-days={days}", code=2)]
        assert "above 0" in told[0]


def test_another_stack(operator: Operator) -> None:
    told = operator.run("keys", "list", "--tenant", "acme", "--stack", "missing", code=2)
    assert "missing" in told and told.count("\n") == 1


def test_secrets(operator: Operator, provider: Provider) -> None:
    told = operator.run("secrets", "set", "ANTHROPIC_BASE_URL", typed=provider.url)
    assert "ANTHROPIC_API_KEY" in told  # is still missing
    provider.play(Answer(b'{"data":[]}'))
    assert "anthropic accepts it" in operator.run("secrets", "set", "ANTHROPIC_API_KEY", typed=KEY)
    assert provider.scenario.requests[0].headers["x-api-key"] == KEY
    provider.play(Answer(b"{}", status=401))
    assert "refuses it" in operator.run("secrets", "set", "ANTHROPIC_API_KEY", typed="another")
    assert operator.values == {"ANTHROPIC_BASE_URL": provider.url, "ANTHROPIC_API_KEY": "another"}
    assert operator.run("secrets", "list").split() == ["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"]
    assert "nothing is changed" in operator.run("secrets", "set", "OPENAI_API_KEY", typed="", code=2)
    assert "_API_KEY" in operator.run("secrets", "set", "PASSWORD", typed="x", code=2)


def test_two_writers_lose_nothing(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    stack_secret.write(operator.manager, operator.secret, "OPENAI_API_KEY", "one")
    read = stack_secret.read
    interrupted = False

    def read_then_lose_the_race(manager: Any, arn: str, **which: str) -> Any:
        nonlocal interrupted
        found = read(manager, arn, **which)
        if not interrupted:
            interrupted = True
            stack_secret.write(manager, arn, "GROQ_API_KEY", "two")
            stack_secret.write(manager, arn, "OPENAI_API_KEY", "changed")
        return found

    monkeypatch.setattr(stack_secret, "read", read_then_lose_the_race)
    stack_secret.write(operator.manager, operator.secret, "XAI_API_KEY", "three")
    assert operator.values == {"OPENAI_API_KEY": "changed", "GROQ_API_KEY": "two", "XAI_API_KEY": "three"}
