"""The secret of a stack that holds the providers' keys: one JSON object in Secrets Manager."""

from __future__ import annotations

import json
import random
import time
from typing import Any

from .base import CommandError

ATTEMPTS = 6  # at writing the secret beside another writer


def read(manager: Any, arn: str, **which: str) -> tuple[dict[str, str], str | None]:
    """The secret's values and its version; a secret that was never written has none."""
    try:
        found = manager.get_secret_value(SecretId=arn, **which)
    except manager.exceptions.ResourceNotFoundException:
        return {}, None
    return json.loads(found["SecretString"]), found["VersionId"]


def write(manager: Any, arn: str, name: str, value: str) -> dict[str, str]:
    """Sets one value and returns all. Secrets Manager cannot write on a condition, so what was replaced is looked at
    afterwards: if it is not what was read, somebody else wrote in between, and the value is set on top of theirs.
    Raises CommandError when that does not come to an end."""
    written, theirs = "", None
    for attempt in range(ATTEMPTS):
        values, version = read(manager, arn)
        if theirs is not None and version == written:
            values = theirs
        values = {**values, name: value}
        written = manager.put_secret_value(SecretId=arn, SecretString=json.dumps(values))["VersionId"]
        stages = manager.describe_secret(SecretId=arn)["VersionIdsToStages"]
        current, previous = (
            next((id for id, labels in stages.items() if label in labels), None)
            for label in ("AWSCURRENT", "AWSPREVIOUS")
        )
        if (current, previous) == (written, version):
            return values
        theirs = read(manager, arn, VersionId=previous)[0] if current == written and previous else None
        time.sleep(random.uniform(0, 0.1 * 2**attempt))
    raise CommandError("somebody else keeps writing the secret; try again")
