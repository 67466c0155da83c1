"""`openresponses doctor --stack`: the table and the provider keys of a stack (moto)."""

from __future__ import annotations

import json

import pytest
from openresponses import cli

from tests.support.gateway import KEY

from .test_aws_cli import Operator, operator

__all__ = ["operator"]  # a fixture


@pytest.mark.slow
def test_a_stack(operator: Operator) -> None:
    def found(stack: str) -> dict[str, str]:
        assert cli.main(["doctor", "--stack", stack, "--json"]) == 1  # a stack without an address
        told = json.loads(operator.capsys.readouterr().out)
        return {row["what"]: row["status"] for row in told["findings"]}

    without = found(operator.name)
    assert (without["table"], without["provider keys"], without["gateway"]) == ("ok", "warn", "fail")
    values = json.dumps({"OPENAI_API_KEY": KEY})
    operator.manager.put_secret_value(SecretId=operator.secret, SecretString=values)
    assert found(operator.name)["provider keys"] == "ok"
    assert found("missing")["stack"] == "fail"
