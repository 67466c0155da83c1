"""How an operator's configuration file and modules get into the Lambda layer, and are found there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from openresponses import settings

ROOT = Path(__file__).resolve().parents[2]


def test_the_layer_takes_the_operators_folder_along(tmp_path: Path) -> None:
    """make tells what it would do: the folder is copied before the byte code is made."""
    shutil.copy(ROOT / "layers/core/Makefile", tmp_path)
    command = ["make", "-n", "build-CoreLayer", "ARTIFACTS_DIR=/tmp/layer", "ARCHITECTURE=arm64"]

    def told() -> str:
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert "operator" not in told()
    (tmp_path / "operator").mkdir()
    steps = told()
    assert 0 < steps.index('cp -R openresponses "') < steps.index('cp -R operator/. "/tmp/layer/python/"')


def test_the_file_in_the_layer_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "LAYER_CONFIG", tmp_path / "openresponses.toml")
    assert settings.with_layer_config({"A": "b"}) == {"A": "b"}
    (tmp_path / "openresponses.toml").touch()
    named = settings.with_layer_config({"A": "b"})
    assert named == {"A": "b", "OPENRESPONSES_CONFIG": str(tmp_path / "openresponses.toml")}
    assert settings.with_layer_config({"OPENRESPONSES_CONFIG": "mine.toml"}) == {
        "OPENRESPONSES_CONFIG": "mine.toml"
    }
