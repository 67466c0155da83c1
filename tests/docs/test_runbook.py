"""docs/runbook.md: every alarm has its section, which begins with one command; the log fields that it asks for are
seen in tests/lambda/test_telemetry.py."""

from __future__ import annotations

import re
import shlex

import pytest

from scripts.docs import ROOT

ALARMS = re.findall(
    r"^  (\w+)Alarm:\n    Type: AWS::CloudWatch::Alarm", (ROOT / "infra/monitoring.yaml").read_text(), re.M
)
SECTIONS = dict(
    re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", (ROOT / "docs/runbook.md").read_text(), re.M | re.S)
)


def test_every_alarm_has_its_section() -> None:
    assert ALARMS and sorted(SECTIONS) == sorted(ALARMS)


@pytest.mark.parametrize("alarm", ALARMS)
def test_a_section_begins_with_one_command_that_is_whole(alarm: str) -> None:
    blocks = re.findall(r"```text\n(.*?)```", SECTIONS[alarm], re.S)
    assert len(blocks) == 1 and blocks[0].count("\n") == 1
    command = shlex.split(blocks[0].replace("$(($(date +%s) - 3600))", "0").replace("$(date +%s)", "1"))
    assert command[0] == "aws"
    if command[1:3] == ["logs", "start-query"]:
        given = dict(zip(command[3::2], command[4::2], strict=True))
        assert given.keys() == {"--log-group-name", "--start-time", "--end-time", "--query-string"}
        verbs = [step.split()[0] for step in given["--query-string"].split("|")]
        assert verbs == ["filter", "stats"]
