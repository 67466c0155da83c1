"""The deployment, as AWS would make it: the translated template passes every check, and each check can fail."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.infra import checks
from tests.infra.conftest import ROOT, Templates

TEMPLATE = (ROOT / "template.yaml").read_text()


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_what_must_hold(templates: Templates, check: checks.Check) -> None:
    assert list(check(templates["as it is"])) == []


INLINE = """\
      Policies:
        - PolicyName: more
          PolicyDocument:
            Statement: [{Effect: Allow, Action: "dynamodb:*", Resource: !GetAtt Table.Arn}]
"""
SEPARATE = """
  More:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: more
      Roles: [!Ref ResponsesRole]
      PolicyDocument:
        Statement: [{Effect: Allow, Action: "s3:GetObject", Resource: "*"}]

  ResponsesLogs:"""
MANAGED = "      ManagedPolicyArns: [arn:aws:iam::aws:policy/AdministratorAccess]\n      Policies:"

# what is broken → the check that must see it, what is replaced, by what
BROKEN: dict[str, tuple[checks.Check, str, str]] = {
    "a transfer mode that SAM takes and ignores": (
        checks.streaming_routes,
        "ResponseTransferMode: RESPONSE_STREAM",
        "ResponseTransferMode: STREAM",
    ),
    "a buffered route": (checks.streaming_routes, "            ResponseTransferMode: RESPONSE_STREAM\n", ""),
    "the default integration timeout": (checks.timeouts, "            TimeoutInMillis: 900000\n", ""),
    "a function that outlives its integration": (checks.timeouts, "Timeout: 890", "Timeout: 900"),
    "turns that outlive their function": (checks.timeouts, "MaxValue: 870", "MaxValue: 890"),
    "an edge endpoint": (checks.regional, "[IsPrivate, PRIVATE, REGIONAL]", "[IsPrivate, PRIVATE, EDGE]"),
    "a route without a key": (
        checks.authorized_routes,
        "            Method: ANY\n",
        "            Method: ANY\n            Auth: {Authorizer: NONE}\n",
    ),
    "a playground that nobody asked for": (
        checks.playground,
        '  Playground:\n    Type: String\n    Default: "false"',
        '  Playground:\n    Type: String\n    Default: "true"',
    ),
    "a playground that is always there": (checks.playground, "    Condition: HasPlayground\n", ""),
    "a playground that reads the table": (
        checks.playground,
        "        - PolicyName: playground\n",
        "        - PolicyName: more\n          PolicyDocument:\n            Statement:\n"
        "              - {Effect: Allow, Action: dynamodb:GetItem, Resource: !GetAtt Table.Arn}\n"
        "        - PolicyName: playground\n",
    ),
    "an open route to the gateway": (
        checks.playground,
        "            Path: /{proxy+}\n",
        "            Path: /assets/{file}\n",
    ),
    "an authorizer of tokens": (
        checks.authorizer,
        "FunctionPayloadType: REQUEST",
        "FunctionPayloadType: TOKEN",
    ),
    "an error in another shape": (
        checks.gateway_errors,
        '{"error":{"type":"authentication"',
        '{"type":"authentication"',
    ),
    "no retry-after": (checks.gateway_errors, "              Retry-After: \"'1'\"\n", ""),
    "no throttling": (checks.throttled, "          ThrottlingRateLimit: !Ref ThrottleRate\n", ""),
    "TTL on another attribute": (checks.table, "AttributeName: expires_at", "AttributeName: ttl"),
    "TTL switched off": (checks.table, "        Enabled: true\n", "        Enabled: false\n"),
    "no recovery": (checks.table, "PointInTimeRecoveryEnabled: true", "PointInTimeRecoveryEnabled: false"),
    "no encryption": (checks.table, "SSEEnabled: true", "SSEEnabled: false"),
    "another key": (checks.table, "AttributeName: sk, KeyType", "AttributeName: tenant, KeyType"),
    "a table that dies with the stack": (checks.kept, "    DeletionPolicy: Retain\n", ""),
    "a secret that updates overwrite": (
        checks.kept,
        '      Description: !Sub "${AWS::StackName}: provider keys, one JSON object"\n',
        "      SecretString: '{}'\n",
    ),
    "provider keys at random": (
        checks.kept,
        '      Description: !Sub "${AWS::StackName}: provider keys, one JSON object"\n',
        "      GenerateSecretString: {}\n",
    ),
    "a sealing key that nobody made": (
        checks.kept,
        "      GenerateSecretString:\n        PasswordLength: 64\n        ExcludePunctuation: true\n",
        "",
    ),
    "an inline wildcard": (checks.least_privilege, "      Policies:\n", INLINE),
    "a separate policy on everything": (checks.least_privilege, "\n  ResponsesLogs:", SEPARATE),
    "a managed policy": (checks.least_privilege, "      Policies:", MANAGED),
    "a key in the environment": (
        checks.environment,
        "        TABLE_NAME: !Ref Table\n",
        "        TABLE_NAME: !Ref Table\n        OPENAI_API_KEY: x\n",
    ),
    "logs for ever": (
        checks.logs,
        "      RetentionInDays: !Ref LogRetentionDays\n",
        "      LogGroupClass: STANDARD\n",
    ),
    "a worker that is cut in mid-turn": (checks.worker, "Timeout: 900", "Timeout: 600"),
    "no dead letters": (
        checks.worker,
        "        MaximumEventAgeInSeconds: 600\n        DestinationConfig:\n          OnFailure:\n"
        "            Type: SQS\n            Destination: !GetAtt DeadLetters.Arn\n",
        "        MaximumEventAgeInSeconds: 600\n",
    ),
    "events that outlive their response": (
        checks.worker,
        "MaximumEventAgeInSeconds: 600",
        "MaximumEventAgeInSeconds: 3600",
    ),
    "no sweep": (checks.worker, """Input: '{"sweep": true}'""", "Input: '{}'"),
    "a right to invoke anything": (
        checks.worker,
        "                Action: lambda:InvokeFunction\n                Resource: !Sub ${WorkerFunction.Arn}:live",
        "                Action: lambda:InvokeFunction\n                Resource: !GetAtt AuthorizerFunction.Arn",
    ),
    "an index with content": (
        checks.lease_index,
        "            ProjectionType: KEYS_ONLY",
        "            ProjectionType: ALL",
    ),
    "a WebSocket without a key": (checks.websocket, "      AuthorizationType: CUSTOM\n", ""),
    "a WebSocket without throttling": (
        checks.websocket,
        "        ThrottlingRateLimit: !Ref ThrottleRate\n        ThrottlingBurstLimit: !Ref ThrottleBurst\n"
        "        DetailedMetricsEnabled",
        "        DetailedMetricsEnabled",
    ),
    "a WebSocket that is traced": (
        checks.websocket,
        "        DetailedMetricsEnabled: true\n        DataTraceEnabled: false\n",
        "        DataTraceEnabled: true\n",
    ),
    "a route that misses": (checks.websocket, "RouteKey: response.create", "RouteKey: response.cancel"),
    "a stage before its routes": (
        checks.websocket,
        "    DependsOn: [WebSocketConnect, WebSocketDisconnect, WebSocketCreate, WebSocketDefault]\n",
        "",
    ),
    "a connection that reads responses": (checks.websocket, '["W#*"]', '["W#*", "T#*"]'),
    "connections of other APIs": (checks.websocket, "${WebSocketApi}/live/*", "*/live/*"),
    "another runtime": (checks.functions, "Runtime: python3.13", "Runtime: python3.12"),
    "no alias": (checks.functions, "    AutoPublishAlias: live\n", ""),
}


@pytest.fixture(scope="module")
def templates(translate: Callable[[dict[str, str]], Templates]) -> Templates:
    """The template, and every broken one."""
    texts = {"as it is": TEMPLATE}
    for what, (_, old, new) in BROKEN.items():
        assert old in TEMPLATE, what
        texts[what] = TEMPLATE.replace(old, new)
    # What needs the alias goes with it.
    needy = r"\n      (DeploymentPreference|EventInvokeConfig):\n(        .*\n)+"
    texts["no alias"] = re.sub(needy, "\n", texts["no alias"])
    return translate(texts)


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_template_fails(templates: Templates, what: str) -> None:
    assert list(BROKEN[what][0](templates[what]))


def test_a_parameter_that_adds_routes_is_deployed() -> None:
    """SAM makes a new deployment when the definition's text changes; a condition in it changes without that."""
    assert re.search(r"^  Api:\n(?:    .*\n)*?      AlwaysDeploy: true$", TEMPLATE, re.MULTILINE)


ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "SAM_CLI_TELEMETRY": "0",
    "HOME": "/tmp",
}
NESTED = sorted(str(file.relative_to(ROOT)) for file in ROOT.glob("infra/*.yaml"))


@pytest.mark.parametrize(
    "command",
    [["sam", "validate", "--lint", "--template", "template.yaml"], ["cfn-lint", "--", *NESTED]],
    ids=["template.yaml", "infra"],
)
def test_lint(sam: Path, command: list[str]) -> None:
    program = [str(sam / command[0]), *command[1:]]
    done = subprocess.run(program, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_alarms_and_the_dashboard(sam: Path) -> None:
    """One alarm each for what an operator must know; the dashboard is JSON."""
    text = (ROOT / "infra/monitoring.yaml").read_text()
    read = "from samcli.yamlhelper import yaml_parse; import json, sys"
    script = f"{read}; json.dump(yaml_parse(sys.stdin.read()), sys.stdout)"
    done = subprocess.run(
        [sam / "python", "-c", script], input=text, capture_output=True, text=True, check=True
    )
    resources = json.loads(done.stdout)["Resources"]
    alarms = {name: r["Properties"] for name, r in resources.items() if r["Type"] == "AWS::CloudWatch::Alarm"}
    assert {re.sub("Alarm$", "", name) for name in alarms} == {
        "GatewayErrors",
        "Failures",
        "Throttles",
        "Concurrency",
        "FirstToken",
        "ProviderKey",
        "StoreFailures",
        "CircuitsOpened",
        "Throttled",
        "AuthorizerErrors",
        "DeadLetters",
        "TableThrottled",
    }
    for name, alarm in alarms.items():
        assert alarm["TreatMissingData"] == "notBreaching", name
        assert alarm["AlarmActions"]["Fn::If"][0] == "HasTopic", name
    body = resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    assert len(json.loads(body)["widgets"]) == 8
