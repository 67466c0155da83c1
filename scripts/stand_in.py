"""AWS on this machine, by moto: the table and the secret that template.yaml defines. For tests and `make local-aws`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).resolve().parent.parent / "template.yaml"
REGION = "eu-west-1"


class _Loader(yaml.SafeLoader):
    """CloudFormation's YAML; `!Ref X` and its like become None: nothing that is read here needs them."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def template() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(TEMPLATE.read_text(), _Loader)
    return loaded


def client(service: Any, endpoint: str) -> Any:
    import boto3

    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def make_table(endpoint: str, name: str) -> None:
    """The template's table, with its index and TTL."""
    wanted = template()["Resources"]["Table"]["Properties"]
    keys = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    dynamodb = client("dynamodb", endpoint)
    dynamodb.create_table(TableName=name, **{key: wanted[key] for key in keys})
    dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=wanted["TimeToLiveSpecification"])


def make_secret(endpoint: str, name: str, values: Mapping[str, str]) -> str:
    """A secret with these provider settings; its ARN."""
    return _make_secret(endpoint, name, json.dumps(dict(values)))


def make_sealing_secret(endpoint: str, name: str) -> str:
    """A secret with a key for sealed content, made as the template wants it; its ARN."""
    wanted = template()["Resources"]["SealingSecret"]["Properties"]["GenerateSecretString"]
    made = client("secretsmanager", endpoint).get_random_password(**wanted)
    return _make_secret(endpoint, name, made["RandomPassword"])


def _make_secret(endpoint: str, name: str, text: str) -> str:
    made = client("secretsmanager", endpoint).create_secret(Name=name, SecretString=text)
    arn: str = made["ARN"]
    return arn
