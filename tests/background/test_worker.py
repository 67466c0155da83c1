"""Background responses on AWS's parts: the table (moto), and the worker function in processes of its own."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ..support import grammar
from ..support.provider import SSE, Answer
from ..support.speech import MODELS, says
from .asking import cancel, create, follow, poll
from .conftest import LEASE, Deployed
from .test_crash import answers, number_in

CANARY = "canary-of-the-request"


def test_a_response_is_made_elsewhere_streamed_here_and_resumed_there(deployed: Deployed) -> None:
    here, there = deployed.servers
    body = {"model": "echo", "input": f"/slow 0.05\n{CANARY} " + "word " * 40}
    told = here.ask({**body, "background": True}, stream=True)
    assert told.response["status"] == "completed" and CANARY in told.text
    response_id = told.response["id"]
    for after in 0, 7, len(told.events) - 2, len(told.events) - 1:
        assert follow(there, response_id, after) == told.events[after + 1 :]
    assert there.get(f"/responses/{response_id}").json() == told.response
    assert deployed.service.events == [{"background": {"tenant": "default", "response_id": response_id}}]


def test_the_request_waits_sealed_and_is_taken_once(deployed: Deployed) -> None:
    tools = [{"type": "function", "name": CANARY, "parameters": {"type": "object"}}]
    queued = create(deployed.servers[0], model="echo", input="hi", tools=tools, instructions=CANARY)
    waiting = [row for row in deployed.rows() if row["sk"]["S"].startswith("request")]
    assert len(waiting) <= 1 and all(CANARY.encode() not in row["body"]["B"] for row in waiting)
    assert CANARY not in json.dumps(deployed.service.events)
    assert poll(deployed.servers[0], queued["id"])["status"] == "completed"
    assert {row["sk"]["S"].split("#")[0] for row in deployed.rows()} == {"head", "event"}


def test_events_that_are_delivered_again_do_nothing(deployed: Deployed) -> None:
    here = deployed.servers[0]
    scenario = here.scenario(Answer(says("anthropic", "Once.").body, content_type=SSE, delay=1.0))
    queued = create(here, model=MODELS["anthropic"], input="question 1")
    for _ in range(4):
        deployed.service.deliver(deployed.service.events[0])
    response = poll(here, queued["id"])
    events = follow(here, queued["id"])
    deployed.service.deliver(deployed.service.events[0])
    wait(lambda: not deployed.service.busy)
    assert response["status"] == "completed" and grammar.check_stream(events) == response
    assert len(scenario.requests) == 1 and follow(here, queued["id"]) == events
    assert deployed.service.failures == [] and deployed.service.dead == []


@pytest.mark.slow  # moto copies its tables while other requests change them, and then answers 500
@pytest.mark.parametrize(("count", "kills"), [(8, 1), (18, 2)])
def test_killed_workers(deployed: Deployed, count: int, kills: int) -> None:
    here, there = deployed.servers
    scenario = here.scenario(answers(slowest=2.0))
    with ThreadPoolExecutor(8) as threads:
        made = threads.map(
            lambda n: create(here, model=MODELS["anthropic"], input=f"question {n}")["id"], range(count)
        )
        asked = dict(enumerate(made))
        killed = 0
        for _ in range(kills):
            wait(lambda: deployed.service.busy > 1)
            time.sleep(0.4)
            killed += deployed.service.kill(1)
        responses = {n: poll(there, response_id, seconds=60) for n, response_id in asked.items()}
    told = Counter(response["status"] for response in responses.values())
    assert set(told) <= {"completed", "failed"} and told["failed"] <= killed == kills, told
    for number, response_id in asked.items():
        assert grammar.check_stream(follow(there, response_id)) == responses[number]
    runs = Counter(number_in(request) for request in scenario.requests)
    assert max(runs.values()) == 1, "a response was asked for twice"
    assert deployed.service.dead == []


def test_cancel_reaches_the_worker(deployed: Deployed) -> None:
    here, there = deployed.servers
    queued = create(here, model="echo", input="/slow 0.1\n/long 300")
    seen = follow(here, queued["id"], leave_after=6)
    before = time.monotonic()
    response = cancel(there, queued["id"])
    assert time.monotonic() - before < 2 and response["status"] == "cancelled"
    assert response["output"][-1]["status"] == "incomplete"
    events = follow(here, queued["id"])
    assert events[: len(seen)] == seen and grammar.check_stream(events) == response
    assert cancel(here, queued["id"]) == response
    wait(lambda: not deployed.service.busy)
    assert deployed.service.failures == []


def test_the_sweep_ends_what_nobody_reads(deployed: Deployed) -> None:
    here = deployed.servers[0]
    queued = create(here, model="echo", input="/slow 0.2\n/long 300")
    follow(here, queued["id"], leave_after=4)
    deployed.service.retries = 0
    assert deployed.service.kill(1) == 1
    time.sleep(LEASE + 0.5)
    assert leases(deployed) == [queued["id"]]
    deployed.service.deliver({"sweep": True})
    wait(lambda: not leases(deployed))
    response = here.get(f"/responses/{queued['id']}").json()
    assert response["status"] == "failed" and grammar.check_stream(follow(here, queued["id"])) == response
    assert deployed.service.dead == deployed.service.events, "dead letters hold tenant and id, nothing else"


def test_a_delete_stops_the_worker_and_leaves_no_row(deployed: Deployed) -> None:
    here = deployed.servers[0]
    queued = create(here, model="echo", input="/slow 0.05\n/long 300")
    follow(here, queued["id"], leave_after=6)
    assert here.delete(f"/responses/{queued['id']}").status_code == 200
    wait(lambda: not deployed.service.busy)
    assert deployed.rows() == []


def test_without_a_worker_nothing_is_queued(deployed: Deployed, monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    told = deployed.servers[1].ask({"model": "echo", "input": "hi", "background": True})
    assert (told.status, told.error["code"]) == (503, "server_is_overloaded")
    assert deployed.rows() == []


def leases(deployed: Deployed) -> list[str]:
    found = (
        re.search(r"#(resp_\w+)$", row["pk"]["S"]) for row in deployed.rows() if row["sk"]["S"] == "lease"
    )
    return [match[1] for match in found if match]


def wait(condition: Any, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it does not come"
        time.sleep(0.05)
