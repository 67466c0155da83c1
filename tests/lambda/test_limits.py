"""Limits of keys, and an operator's middlewares, through the built function: what the authorizer says holds, and the
counters stand in the table. What one function can show, test_built.py has."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from scripts import stand_in
from tests.support.deployment import Deployment, Lambda
from tests.support.lambda_function import rest_event

pytestmark = pytest.mark.asyncio
Json = dict[str, Any]

CONFIG = """
[[middleware]]
use = "budget"
tenants = ["budgeted"]
tokens_per_day = 5

[[middleware]]
use = "content_filter"
output = ["secret"]
"""


async def asked(function: Lambda, tenant: str, body: Json, **limits: Any) -> tuple[int, Json]:
    authorizer = {"tenant": tenant, "key_id": "0123456789ab", "limits": json.dumps(limits)}
    event = rest_event("POST", "/v1/responses", {"model": "echo", **body}, authorizer=authorizer)
    answer = await (await function.api.invoke(event)).done()
    return answer.prelude["statusCode"], json.loads(answer.body)


@pytest.mark.slow
async def test_limits_hold_across_functions(deployment: Deployment, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    long = {"input": "one two three four five six"}
    async with (
        deployment.function(OPENRESPONSES_CONFIG=str(config)) as one,
        deployment.function(OPENRESPONSES_CONFIG=str(config)) as other,
    ):
        status, told = await asked(one, "keyed", {"model": "claude-opus-5", "input": "hi"}, models=["echo"])
        assert (status, told["error"]["code"]) == (404, "model_not_found")
        statuses = [(await asked(each, "keyed", long, tokens_per_day=5))[0] for each in (one, other)]
        assert statuses == [200, 429]
        statuses = [(await asked(each, "budgeted", long, concurrency=1))[0] for each in (one, other)]
        assert statuses == [200, 429]
        status, told = await asked(other, "filtered", {"input": "tell the secret"}, concurrency=1)
        assert (status, told["incomplete_details"]) == (200, {"reason": "content_filter"})
    day = time.strftime("%Y-%m-%d", time.gmtime())
    dynamodb = stand_in.client("dynamodb", deployment.endpoint)
    for tenant, window in (("keyed", f"day#{day}#key#0123456789ab"), ("budgeted", f"day#{day}")):
        place = {"pk": {"S": f"T#{tenant}#U"}, "sk": {"S": window}}
        row = dynamodb.get_item(TableName=deployment.table, Key=place)["Item"]
        assert 5 < int(row["tokens"]["N"]) < 100, "settled"
    leases = {"pk": {"S": "T#filtered#U"}, "sk": {"S": "turns#key#0123456789ab"}}
    assert dynamodb.get_item(TableName=deployment.table, Key=leases)["Item"]["leases"] == {"M": {}}
