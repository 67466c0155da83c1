"""`make verify-aws`: deploys a throwaway stack to your account, checks what only AWS can show, and deletes it again.

    --url URL --key KEY --other-key KEY   only asks a gateway that is there already, as its clients would
    --keep                                leaves the stack
    --purge                               deletes its table and secrets too, which a deleted stack leaves behind

It costs some cents, and some fifteen minutes: most of them are CloudFormation's, and the canary's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from openresponses.cli.place import Stack

from .verify_checks import CHECKS, Target, run

ROOT = Path(__file__).resolve().parents[1]
SAM = str(ROOT / ".venv-sam/bin/sam")
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
KEPT = {"AWS::DynamoDB::Table", "AWS::SecretsManager::Secret"}


def deploy_command(name: str, **parameters: str) -> list[str]:
    """Our own name and parameters, whatever samconfig.toml says."""
    given = {"DeletionProtection": "false", "CanaryDeployment": "true", **parameters}
    overrides = [f"{key}={value}" for key, value in given.items()]
    command = [SAM, "deploy", "--stack-name", name, "--resolve-s3", "--no-confirm-changeset"]
    return [*command, "--capabilities", *CAPABILITIES, "--parameter-overrides", *overrides]


class Deployed:
    """The throwaway stack."""

    def __init__(self) -> None:
        import boto3

        self.name = f"openresponses-verify-{uuid4().hex[:8]}"
        self.session = boto3.Session()

    def deploy(self) -> None:
        subprocess.run(["make", "build"], cwd=ROOT, check=True)
        subprocess.run(deploy_command(self.name), cwd=ROOT, check=True)
        cloudformation = self.session.client("cloudformation")
        (stack,) = cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=self.name)
        self.resources = [row for page in pages for row in page["StackResourceSummaries"]]

    def target(self) -> Target:
        keys = Stack(self.session, self.outputs).keys
        return Target(self.outputs["Url"], keys.create("verify-a"), keys.create("verify-b"))

    def delete(self, *, purge: bool) -> None:
        subprocess.run([SAM, "delete", "--stack-name", self.name, "--no-prompts"], cwd=ROOT, check=True)
        for resource in getattr(self, "resources", []):
            if resource["ResourceType"] in KEPT:
                self._purge(resource) if purge else print("left:", resource["PhysicalResourceId"])

    def _purge(self, resource: dict[str, Any]) -> None:
        name = resource["PhysicalResourceId"]
        if resource["ResourceType"] == "AWS::DynamoDB::Table":
            self.session.client("dynamodb").delete_table(TableName=name)
        else:
            manager = self.session.client("secretsmanager")
            manager.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
        print("deleted:", name)

    # ---------------------------------------------------------------- what clients cannot see

    def physical(self, logical: str) -> str:
        return next(
            str(row["PhysicalResourceId"]) for row in self.resources if row["LogicalResourceId"] == logical
        )

    def exec_wrapper(self) -> str:
        function = self.physical("ResponsesFunction")
        found = self.session.client("lambda").get_function_configuration(FunctionName=function)
        wrapper = found["Environment"]["Variables"].get("AWS_LAMBDA_EXEC_WRAPPER")
        assert found["Runtime"] == "python3.13" and wrapper == "/opt/streaming-runtime", (
            found["Runtime"],
            wrapper,
        )
        said = self._logged("Init.")
        assert not said, said[0]
        return "python3.13, started by our wrapper, no failed init"

    def metrics(self) -> str:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            for message in self._logged("Responses"):
                line = json.loads(message)
                if (
                    line.get("Responses")
                    and line["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "OpenResponses"
                ):
                    return "in the log, in the embedded format"
            time.sleep(5)
        raise AssertionError("no metric in the log within two minutes")

    def _logged(self, term: str) -> list[str]:
        logs, group = self.session.client("logs"), self.physical("ResponsesLogs")
        found = logs.filter_log_events(logGroupName=group, filterPattern=f'"{term}"')
        return [event["message"] for event in found["events"]]

    def canary(self) -> str:
        """A second deployment gives the new version a tenth first."""
        function = self.physical("ResponsesFunction")
        client = self.session.client("lambda")
        weights: set[float] = set()
        with subprocess.Popen(
            deploy_command(self.name, LogLevel="DEBUG"), cwd=ROOT, stdout=subprocess.DEVNULL
        ) as update:
            while update.poll() is None:
                routing = client.get_alias(FunctionName=function, Name="live").get("RoutingConfig") or {}
                weights |= set(routing.get("AdditionalVersionWeights", {}).values())
                time.sleep(5)
        assert update.returncode == 0, "the update failed"
        assert 0.1 in weights, f"weights seen: {weights or 'none'}"
        return "10 % for the new version, then all"


def asked(target: Target) -> list[Any]:
    return [(check.__name__, partial(check, target)) for check in CHECKS]


def main(arguments: list[str]) -> int:
    """0 if every check passed."""
    parser = argparse.ArgumentParser(prog="verify_aws", description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="a gateway that is there already; ends in /v1")
    parser.add_argument("--key", default="", help="a key of it")
    parser.add_argument("--other-key", default="", help="another tenant's")
    parser.add_argument("--keep", action="store_true", help="leave the stack")
    parser.add_argument("--purge", action="store_true", help="delete the retained table and secrets, too")
    given = parser.parse_args(arguments)
    if given.url:
        return 0 if run(asked(Target(given.url, given.key, given.other_key))) else 1
    stack = Deployed()
    try:
        stack.deploy()
        own = [(check.__name__, check) for check in (stack.exec_wrapper, stack.metrics, stack.canary)]
        return 0 if run([*asked(stack.target()), *own]) else 1
    finally:
        if given.keep:
            print(f"The stack {stack.name} is left: {SAM} delete --stack-name {stack.name}")
        else:
            stack.delete(purge=given.purge)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
