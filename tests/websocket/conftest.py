from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from ..support.gateway import Gateway
from ..support.sockets import Socket

Connect = Callable[..., Socket]


@pytest.fixture
def connect(gateway: Gateway) -> Iterator[Connect]:
    """Opens connections to the gateway; they are closed with the test."""
    with ExitStack() as stack:

        def opened(**options: Any) -> Socket:
            return stack.enter_context(Socket(gateway.base_url, **options))

        yield opened
