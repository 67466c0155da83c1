"""docs/operating.md: its script copies back what is missing, and nothing else."""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from scripts.docs import ROOT

from .sessions import files


def row(pk: str, value: str, **more: float) -> dict[str, Any]:
    numbers = {name: {"N": str(number)} for name, number in more.items()}
    return {"pk": {"S": pk}, "sk": {"S": "head"}, "value": {"S": value}, **numbers}


@mock_aws
def test_rows_are_copied_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("dynamodb")
    for table in ("old", "new"):
        client.create_table(
            TableName=table,
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
    for found in (row("a", "lost"), row("b", "earlier"), row("c", "expired", expires_at=time.time() - 9)):
        client.put_item(TableName="old", Item=found)
    client.put_item(TableName="new", Item=row("b", "later"))
    (tmp_path / "copy_rows.py").write_text(files((ROOT / "docs/operating.md").read_text())["copy_rows.py"])
    monkeypatch.setattr(sys, "argv", ["copy_rows.py", "old", "new"])
    runpy.run_path(str(tmp_path / "copy_rows.py"))
    assert capsys.readouterr().out == "1 rows copied\n"
    there = {item["pk"]["S"]: item["value"]["S"] for item in client.scan(TableName="new")["Items"]}
    assert there == {"a": "lost", "b": "later"}
    client.close()
