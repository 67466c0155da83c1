"""Every recorded request, put into the terms of the Responses API, reaches its provider with the same content."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.gateway import Gateway
from ..support.speech import says
from .asked import READERS, Asked, Untranslatable, as_responses
from .records import APPLICABLE, Record

Json = dict[str, Any]

ASKING = [record for record in APPLICABLE if record.request and record.status == 200 and "#" not in record.slug]


def differences(wanted: Asked, got: Asked) -> list[str]:
    before, after = wanted.comparable(), got.comparable()
    return [
        f"{name}: {str(after[name])[:600]}\n   expected {str(before[name])[:600]}"
        for name in before
        if before[name] != after[name]
    ]


@pytest.mark.parametrize("record", ASKING, ids=[record.id for record in ASKING])
def test_request(gateway: Gateway, record: Record, request: pytest.FixtureRequest) -> None:
    assert record.request
    read = READERS[record.dialect]
    try:
        wanted = read(record.request)
    except Untranslatable as why:
        pytest.skip(str(why))
    request.node.user_properties.append(("request", {"provider": record.dialect, "tags": list(record.tags)}))
    scenario = gateway.scenario(says(record.dialect, "Fine."))
    told = gateway.ask(as_responses(wanted, record.model))
    assert told.status == 200, told.error
    found = differences(wanted, read(scenario.requests[0].json))
    assert not found, "\n".join(found)
