"""The HTTP tests of the local gateway a second time: the same tests, the same clients, through the Lambda path."""

from __future__ import annotations

import pytest

from tests.clients import test_openai_agents, test_openai_python
from tests.clients.conftest import *  # noqa: F403 - its fixtures
from tests.http import test_bad_input, test_conversations, test_history, test_idempotency, test_quickstart

from .again import again


@pytest.fixture(autouse=True)
def more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request goes through three processes here, as JSON within JSON."""
    monkeypatch.setattr(test_bad_input, "LONGEST_ANSWER", 1.0)


globals().update(again(test_bad_input))
globals().update(again(test_history))
globals().update(again(test_quickstart))
globals().update(again(test_conversations))
# Its worker is another function, which is not started here.
globals().update(again(test_idempotency, without=("test_a_background_response_is_queued_once",)))
globals().update(again(test_openai_python))
globals().update(again(test_openai_agents))
