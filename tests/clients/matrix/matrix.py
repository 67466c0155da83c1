"""Every client × provider family × scenario, against a gateway process with the scripted model behind it.

Not collected by `make test` (its name): `make test-clients` installs the clients and names it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ...support.gateway import environment
from ...support.provider import Provider
from .clients import CLIENTS, Client, Driver
from .scenarios import FAMILIES, OPAQUE, SCENARIOS, Scenario, scenario_of


@pytest.fixture(scope="session")
def base_url(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The gateway, as `openresponses serve` starts it."""
    environ = {**os.environ, **environment(provider.url), "OPENRESPONSES_MAX_RETRIES": "0"}
    folder = tmp_path_factory.mktemp("gateway")
    command = [
        sys.executable,
        "-m",
        "openresponses",
        "serve",
        "--port",
        "0",
        "--store",
        str(folder / "history.db"),
    ]
    with subprocess.Popen(command, env=environ, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().split()[-1]
        process.terminate()


@pytest.fixture(scope="session")
def drivers() -> Iterator[dict[str, Driver]]:
    running: dict[str, Driver] = {}
    yield running
    for driver in running.values():
        driver.stop()


def driver_of(client: Client, drivers: dict[str, Driver]) -> Driver:
    if client.name not in drivers or not drivers[client.name].usable:
        drivers[client.name] = Driver(client)
    return drivers[client.name]


@pytest.mark.parametrize("name", [scenario.name for scenario in SCENARIOS])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_matrix(
    client: Client, family: str, name: str, base_url: str, provider: Provider, drivers: dict[str, Driver],
    record_property: Any,
) -> None:  # fmt: skip
    record_property("cell", (client.name, family, name))
    if name in client.without:
        pytest.skip(client.without[name])
    if client.missing:
        pytest.fail(f"{client.missing} is missing: make test-clients installs it")
    scenario = scenario_of(client.name, name)
    played = provider.play(*scenario.scripts(family))
    told = driver_of(client, drivers).run(scenario.task(family, base_url))
    check_told(scenario, told)
    if kind := client.errors.get(name):
        assert told["error"]["kind"] == kind
    bodies = [request.body.decode() for request in played.requests]
    if scenario.said:
        assert bodies, "the provider was not asked"
    for words in scenario.asked:
        assert words in bodies[0], f"the provider was not told {words!r}"
    for words in scenario.sent:
        wanted = words.format(opaque=OPAQUE[family])
        assert wanted in bodies[-1], f"{wanted!r} did not come back to the provider: {bodies[-1]}"
        if name in ("chain", "history"):
            assert bodies[-1].count(wanted) == 1, f"{wanted!r} came back more than once: {bodies[-1]}"
    if scenario.upstream_closed:
        wait_until_left(played.requests[-1])


def check_told(scenario: Scenario, told: dict[str, Any]) -> None:
    if scenario.fails:
        assert "error" in told, f"no error was raised: {told}"
        for key, value in scenario.expected.items():
            assert told["error"][key] == value, told["error"]
        return
    assert "error" not in told, told["error"]["trace"]
    for key, value in scenario.expected.items():
        assert told["result"].get(key) == value, told["result"]
    for key, least in scenario.at_least.items():
        assert told["result"][key] >= least, told["result"]


def wait_until_left(request: Any) -> None:
    """The gateway hangs up on the provider within a second of the client's leaving."""
    limit = time.monotonic() + 1
    while request.left is None and time.monotonic() < limit:
        time.sleep(0.01)
    assert request.left is not None, "the provider's call goes on without a client"
