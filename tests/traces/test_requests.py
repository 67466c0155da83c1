"""Every recorded request, put in the terms of the Responses API and sent, reaches its provider with the same content.

What differs is a row of `requests.reasons`, and so of docs/fidelity.md; anything else is a failure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from ..support.gateway import Gateway
from ..support.speech import says
from .records import APPLICABLE, Record
from .requests.dialects import DIALECTS
from .requests.difference import INDEX, differences
from .requests.reasons import REASONS, REFUSALS, Reason, Refusal, reason_for

Json = dict[str, Any]

ASKING = [record for record in APPLICABLE if record.request and "#" not in record.slug]


@pytest.mark.skipif(not ASKING, reason="the records are not there")
@pytest.mark.parametrize("name", DIALECTS)
def test_requests(gateway: Gateway, name: str, request: pytest.FixtureRequest) -> None:
    """All of a provider's: so that a row which explains nothing shows, too."""
    used: Counter[Reason | Refusal] = Counter()
    lost: list[str] = []
    for record in ASKING:
        if record.dialect == name:
            found = [f"{record.slug}: {problem}" for problem in differs(gateway, record, used)]
            note = {"provider": name, "tags": list(record.tags), "passed": not found}
            request.node.user_properties.append(("request", note))
            lost += found
    assert not lost, "\n".join(lost)
    idle = [row.what for row in (*REASONS, *REFUSALS) if row.dialect == name and not used[row]]
    assert not idle, f"rows that explain nothing: {idle}"


def differs(gateway: Gateway, record: Record, used: Counter[Reason | Refusal]) -> Iterator[str]:
    """What of the recorded request did not reach the provider, and is not explained; counts the rows that explain."""
    dialect = DIALECTS[record.dialect]
    assert record.request
    asked = dialect.as_responses(record.request, record.model)
    scenario = gateway.scenario(says(record.dialect, "Fine."))
    told = gateway.ask({"model": record.model, "store": False, **asked})
    if not scenario.requests:
        if refused := refusal(record.dialect, told.status, told.error):
            used[refused] += 1
        else:
            yield f"refused: {told.error}"
        return
    [received] = scenario.requests
    if record.dialect == "gemini":
        assert received.path.startswith(f"/v1beta/models/{record.model.removeprefix('gemini/')}:")
    for difference in differences(dialect.spelled(record.request), dialect.spelled(received.json)):
        row = reason_for(difference, record.dialect)
        if row is None:
            yield str(difference)
        else:
            used[row] += 1


def refusal(dialect: str, status: int, error: Json) -> Refusal | None:
    param = INDEX.sub("[]", error.get("param") or "")
    found = (row for row in REFUSALS if (row.dialect, row.param) == (dialect, param))
    return next(found, None) if status == 400 else None
