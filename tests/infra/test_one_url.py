"""The CloudFront option: off by default, nothing cached, upgrades of /v1/responses to the WebSocket API."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Templates

NODE = shutil.which("node")
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER_EXCEPT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"


@pytest.fixture(scope="module")
def templates(translate: Callable[[dict[str, str]], Templates]) -> Templates:
    names = {"stack": "template.yaml", "nested": "infra/one-url.yaml"}
    return translate({name: (ROOT / file).read_text() for name, file in names.items()})


def test_it_is_off_by_default(templates: Templates) -> None:
    stack = templates["stack"]
    assert stack["Parameters"]["OneUrl"]["Default"] == "false"
    assert stack["Resources"]["OneAddress"]["Condition"] == "HasOneUrl"
    assert stack["Outputs"]["OneUrl"]["Condition"] == "HasOneUrl"


def test_both_apis_are_origins(templates: Templates) -> None:
    given = templates["stack"]["Resources"]["OneAddress"]["Properties"]["Parameters"]
    assert set(given) == set(templates["nested"]["Parameters"])
    assert "${Api}.execute-api" in str(given["RestDomain"])
    assert "${WebSocketApi}.execute-api" in str(given["WebSocketDomain"])
    config = templates["nested"]["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
    origins = {origin["Id"]: origin for origin in config["Origins"]}
    assert origins["rest"]["DomainName"] == {"Ref": "RestDomain"} and origins["rest"]["OriginPath"] == "/live"
    assert origins["websocket"]["DomainName"] == {"Ref": "WebSocketDomain"}
    assert all(o["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only" for o in origins.values())
    # longer than the silence after which a stream gets a comment
    assert origins["rest"]["CustomOriginConfig"]["OriginReadTimeout"] > 15


def test_everything_is_passed_on_and_nothing_kept(templates: Templates) -> None:
    config = templates["nested"]["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
    behaviour = config["DefaultCacheBehavior"]
    assert behaviour["CachePolicyId"] == CACHING_DISABLED
    assert behaviour["OriginRequestPolicyId"] == ALL_VIEWER_EXCEPT_HOST
    assert behaviour["ViewerProtocolPolicy"] == "https-only" and behaviour["Compress"] is False
    assert {"GET", "POST", "DELETE", "OPTIONS"} <= set(behaviour["AllowedMethods"])
    assert "CacheBehaviors" not in config


UPGRADE = {"sec-websocket-key": {"value": "x3JJHMbDL1EzLkh9GBhXDw=="}}
REQUESTS: list[tuple[str, dict[str, Any], list[str | None]]] = [  # uri, headers → origin, uri
    ("/v1/responses", UPGRADE, ["websocket", "/live"]),
    ("/v1/responses", {}, [None, "/v1/responses"]),
    ("/v1/responses", {"upgrade": {"value": "h2c"}}, [None, "/v1/responses"]),
    ("/v1/models", UPGRADE, [None, "/v1/models"]),
]


@pytest.mark.skipif(NODE is None, reason="needs Node.js")
@pytest.mark.parametrize(("uri", "headers", "chosen"), REQUESTS)
def test_the_origin(
    templates: Templates, tmp_path: Path, uri: str, headers: dict[str, Any], chosen: list[str | None]
) -> None:
    code = templates["nested"]["Resources"]["ChooseOrigin"]["Properties"]["FunctionCode"]
    first, _, rest = code.partition("\n")
    assert first == "import cf from 'cloudfront';"
    event = json.dumps({"request": {"uri": uri, "headers": headers}})
    script = tmp_path / "function.mjs"
    script.write_text(
        f"let origin = null; const cf = {{selectRequestOriginById(id) {{ origin = id; }}}};\n{rest}\n"
        f"const request = handler({event}); console.log(JSON.stringify([origin, request.uri]));"
    )
    assert NODE
    done = subprocess.run([NODE, script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == chosen
