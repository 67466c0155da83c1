from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.lambda_function import ROOT


@pytest.fixture(scope="session")
def opt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runtime's layer as it unpacks, with the one package it needs from the core layer."""
    opt = tmp_path_factory.mktemp("opt")
    shutil.copy(ROOT / "layers/runtime/streaming-runtime", opt)
    shutil.copytree(ROOT / "layers/runtime/lambda_stream", opt / "python/lambda_stream")
    for package in ("mangum", "typing_extensions"):
        spec = find_spec(package)
        assert spec and spec.origin
        source = Path(spec.origin)
        source = source.parent if source.name == "__init__.py" else source
        (opt / "python" / source.name).symlink_to(source)
    return opt
