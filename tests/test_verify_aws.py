"""`make verify-aws`, as far as it goes without an account: its checks against the local gateway, with keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from openresponses.store.sqlite_keys import SQLiteKeys

from scripts import verify_aws, verify_checks
from tests.test_cli import Serve, serve

__all__ = ["serve"]  # a fixture

QUICK = [check for check in verify_checks.CHECKS if check is not verify_checks.patience]


def test_a_gateway_passes_and_what_is_wrong_is_found(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify_aws, "CHECKS", QUICK)
    keys = SQLiteKeys(tmp_path / "history.db")
    acme, other = keys.create("acme"), keys.create("other")
    url = f"{serve('--store', 'history.db', OPENRESPONSES_REQUIRE_KEYS='1').url}/v1"
    passed = verify_aws.main(["--url", url, "--key", acme, "--other-key", other])
    told = capsys.readouterr().out
    assert passed == 0, told
    assert told.count("\n") == len(QUICK)

    monkeypatch.setattr(verify_checks, "SLOW", "one two three")  # as it would arrive through a buffer
    monkeypatch.setattr(verify_aws, "CHECKS", [verify_checks.streaming, verify_checks.tenants])
    assert verify_aws.main(["--url", url, "--key", acme, "--other-key", acme]) == 1
    told = capsys.readouterr().out
    assert told.count("FAILED") == 2 and "buffered" in told


def test_the_stack_is_a_throwaway() -> None:
    command = verify_aws.deploy_command("name", LogLevel="DEBUG")
    assert {"DeletionProtection=false", "CanaryDeployment=true", "LogLevel=DEBUG"} <= set(command)
    assert command[command.index("--stack-name") + 1] == "name"
