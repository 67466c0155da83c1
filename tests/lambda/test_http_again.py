"""The HTTP tests of the local gateway a second time: the same tests, the same clients, through the Lambda path."""

from __future__ import annotations

import pytest

from tests.clients import test_openai_python
from tests.clients.conftest import *  # noqa: F403 - its fixtures
from tests.http import test_bad_input, test_history

from .again import again


@pytest.fixture(autouse=True)
def more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request goes through three processes here, as JSON within JSON."""
    monkeypatch.setattr(test_bad_input, "LONGEST_ANSWER", 1.0)


globals().update(again(test_bad_input))
globals().update(again(test_history))
globals().update(again(test_openai_python))
