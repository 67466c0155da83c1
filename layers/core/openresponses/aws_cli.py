"""`openresponses keys …` and `openresponses secrets …`: what an operator does to a deployed stack, or to a local store.

The stack is found by --stack, --region and --profile, else by samconfig.toml, else as AWS's own tools do. Its outputs
name the table and the secret. With --store PATH it is the history of the local server. A provider key is asked for at
the terminal, never echoed, never an argument.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import random
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from .secrets import FileSecrets
    from .store.keys import ApiKeys

ATTEMPTS = 6  # at writing the secret beside another writer


class StackError(Exception):
    """Why the stack cannot be worked on; one line."""


def add_commands(commands: Any) -> None:
    """Adds `keys` and `secrets` to the command line's subparsers."""
    stack = place_options()
    keys = group(commands, "keys", "keys of those who use the gateway")
    create = keys.add_parser("create", parents=[stack], help="make a key; it is shown once")
    create.add_argument("--tenant", required=True, help="whose key it is: a-z, 0-9 and -")
    create.add_argument("--name", default="", help="what it is for")
    create.add_argument("--days", type=float, help="how long it is valid (default: for ever)")
    create.add_argument(
        "--retention-days", type=float, help="how long its responses are kept (default: the deployment's)"
    )
    create.add_argument("--zero-retention", action="store_true", help="store nothing of what it asks")
    create.set_defaults(run=create_key)
    listing = keys.add_parser("list", parents=[stack], help="a tenant's keys, by their ids")
    listing.add_argument("--tenant", required=True)
    listing.set_defaults(run=list_keys)
    revoke = keys.add_parser("revoke", parents=[stack], help="end a key; on AWS, caches know it 300 s longer")
    revoke.add_argument("--tenant", required=True)
    revoke.add_argument("id", help="its id, or the first 8 characters")
    revoke.set_defaults(run=revoke_key)

    secrets = group(commands, "secrets", "keys of providers")
    setting = secrets.add_parser(
        "set", parents=[stack], help="write a provider's key or base URL; asks for it"
    )
    setting.add_argument("name", help="ANTHROPIC_API_KEY, OPENAI_BASE_URL, ...")
    setting.set_defaults(run=set_secret)
    names = secrets.add_parser("list", parents=[stack], help="the names that are set")
    names.set_defaults(run=list_secrets)


def place_options() -> argparse.ArgumentParser:
    """The options that say what a command works on."""
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument("--stack", help="name of the stack (default: samconfig.toml's)")
    place.add_argument("--region", help="AWS region (default: samconfig.toml's, else AWS's own)")
    place.add_argument("--profile", help="profile of AWS credentials")
    place.add_argument("--store", metavar="PATH", help="the local server's history, instead of a stack")
    return place


def group(commands: Any, name: str, title: str) -> Any:
    """The subparsers of a command that has commands of its own."""
    return commands.add_parser(name, help=title).add_subparsers(required=True, metavar="COMMAND")


# --------------------------------------------------------------------------- the stack


@dataclass(frozen=True, slots=True)
class Stack:
    """A deployed stack: its outputs, and clients of its region."""

    session: Any
    outputs: dict[str, str]
    notice: ClassVar[str] = " API Gateway may accept it for another 300 seconds."  # of a revoked key

    def client(self, service: str) -> Any:
        return self.session.client(service)

    @property
    def keys(self) -> ApiKeys:
        from .store.dynamodb_keys import DynamoDBKeys

        return DynamoDBKeys(self.outputs["TableName"], client=lambda: self.client("dynamodb"))

    def secrets(self) -> dict[str, str]:
        return read_secret(self.client("secretsmanager"), self.outputs["ProviderSecretArn"])[0]

    def set_secret(self, name: str, value: str) -> dict[str, str]:
        return write_secret(self.client("secretsmanager"), self.outputs["ProviderSecretArn"], name, value)


@dataclass(frozen=True, slots=True)
class LocalStore:
    """The same of a local server: its history's file, and the file of providers' keys beside it."""

    path: str
    notice: ClassVar[str] = ""

    @property
    def keys(self) -> ApiKeys:
        from .store.base import StoreUnavailable
        from .store.sqlite_keys import SQLiteKeys

        try:
            return SQLiteKeys(self.path)
        except StoreUnavailable as error:
            raise StackError(f"the store cannot be opened: {error}") from None

    def secrets(self) -> dict[str, str]:
        return self._file.values()

    def set_secret(self, name: str, value: str) -> dict[str, str]:
        try:
            return self._file.set(name, value)
        except OSError as error:
            raise StackError(f"{self.path}.secrets.json cannot be written: {error.strerror}") from None

    @property
    def _file(self) -> FileSecrets:
        from .secrets import FileSecrets

        return FileSecrets(Path(f"{self.path}.secrets.json"), {})


def find(given: argparse.Namespace) -> Stack | LocalStore:
    """The stack, or the store, that was meant. Raises StackError."""
    if given.store:
        return LocalStore(str(Path(given.store).expanduser()))
    return find_stack(given)


def find_stack(given: argparse.Namespace) -> Stack:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    saved = saved_parameters(Path("samconfig.toml"))
    name = given.stack or saved.get("stack_name") or "openresponses"
    try:
        session = boto3.Session(
            profile_name=given.profile or saved.get("profile"),
            region_name=given.region or saved.get("region"),
        )
        (stack,) = session.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except (BotoCoreError, ClientError) as error:
        raise StackError(f"the stack {name!r} cannot be found: {error}") from None
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}
    if missing := {"TableName", "ProviderSecretArn"} - set(outputs):
        raise StackError(
            f"the stack {name!r} has no output {', '.join(sorted(missing))}: is it this gateway's?"
        )
    return Stack(session, outputs)


def saved_parameters(file: Path) -> dict[str, Any]:
    """What `sam deploy --guided` has written down, those of `deploy` on top of the global ones."""
    if not file.exists():
        return {}
    default = tomllib.loads(file.read_text()).get("default", {})
    parts = (default.get(section, {}).get("parameters", {}) for section in ("global", "deploy"))
    return {name: value for part in parts for name, value in part.items()}


# --------------------------------------------------------------------------- keys


def create_key(given: argparse.Namespace) -> int:
    expires_at = None if given.days is None else int(time.time() + given.days * 86400)
    asked = {"retention_days": given.retention_days, "zero_retention": given.zero_retention}
    limits = {name: value for name, value in asked.items() if value}
    if given.retention_days is not None and given.retention_days <= 0:
        raise StackError("--retention-days is a number above 0; for nothing at all: --zero-retention")
    try:
        key = find(given).keys.create(given.tenant, given.name, expires_at=expires_at, limits=limits)
    except ValueError as error:
        raise StackError(str(error)) from None
    print(f"The key of tenant {given.tenant}; it cannot be shown again:", file=sys.stderr)
    print(key)
    return 0


def list_keys(given: argparse.Namespace) -> int:
    for key in find(given).keys.list(given.tenant):
        until = "" if key.expires_at is None else f"  until {_day(key.expires_at)}"
        state = "  disabled" if key.disabled else ""
        print(f"{key.id[:12]}  {_day(key.issued_at)}{until}{state}  {key.name}".rstrip())
    return 0


def revoke_key(given: argparse.Namespace) -> int:
    place = find(given)
    if not place.keys.revoke(given.tenant, given.id):
        raise StackError(
            f"{given.tenant} has not exactly one key whose id begins with {given.id!r} (8 or more)."
        )
    print(f"Revoked.{place.notice}")
    return 0


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


# --------------------------------------------------------------------------- secrets


def set_secret(given: argparse.Namespace) -> int:
    place = find(given)
    if not given.name.endswith(("_API_KEY", "_BASE_URL")):
        raise StackError("a name ends in _API_KEY or _BASE_URL")
    value = getpass.getpass(f"{given.name}: ").strip()
    if not value:
        raise StackError("nothing was entered; nothing is changed")
    values = place.set_secret(given.name, value)
    print(f"{given.name} is set.")
    print(asyncio.run(ask_provider(given.name, values)))
    return 0


def list_secrets(given: argparse.Namespace) -> int:
    for name in sorted(find(given).secrets()):
        print(name)
    return 0


def read_secret(manager: Any, arn: str, **which: str) -> tuple[dict[str, str], str | None]:
    """The secret's values and its version; a secret that was never written has none."""
    try:
        found = manager.get_secret_value(SecretId=arn, **which)
    except manager.exceptions.ResourceNotFoundException:
        return {}, None
    return json.loads(found["SecretString"]), found["VersionId"]


def write_secret(manager: Any, arn: str, name: str, value: str) -> dict[str, str]:
    """Sets one value and returns all. Secrets Manager cannot write on a condition, so what was replaced is looked at
    afterwards: if it is not what was read, somebody else wrote in between, and the value is set on top of theirs.
    Raises StackError when that does not come to an end."""
    written, theirs = "", None
    for attempt in range(ATTEMPTS):
        values, version = read_secret(manager, arn)
        if theirs is not None and version == written:
            values = theirs
        values = {**values, name: value}
        written = manager.put_secret_value(SecretId=arn, SecretString=json.dumps(values))["VersionId"]
        stages = manager.describe_secret(SecretId=arn)["VersionIdsToStages"]
        current, previous = (
            next((id for id, labels in stages.items() if label in labels), None)
            for label in ("AWSCURRENT", "AWSPREVIOUS")
        )
        if (current, previous) == (written, version):
            return values
        theirs = read_secret(manager, arn, VersionId=previous)[0] if current == written and previous else None
        time.sleep(random.uniform(0, 0.1 * 2**attempt))
    raise StackError("somebody else keeps writing the secret; try again")


async def ask_provider(name: str, values: dict[str, str]) -> str:
    """Asks the provider for its models, once, with the key that was set: a line that says whether it works."""
    import httpx

    from .protocol.errors import ApiError
    from .routing import Router
    from .secrets import EnvironmentSecrets
    from .settings import Settings

    router = Router(Settings.load({}))
    owners = (p for p in router.providers.values() if name in (p.key_variable, p.base_url_variable))
    if (provider := next(owners, None)) is None:
        return f"No provider here reads {name}."
    try:
        endpoint = await router.endpoint(provider, EnvironmentSecrets(values))
        async with httpx.AsyncClient(timeout=10) as client:
            path = "tags" if provider.adapter == "ollama" else "models"
            answer = await client.get(f"{endpoint.base_url}/{path}", headers=endpoint.headers)
    except ApiError as error:
        return error.message
    except httpx.HTTPError as error:
        return f"{provider.name} cannot be reached from here: {type(error).__name__}."
    if answer.is_success:
        return f"{provider.name} accepts it."
    refused = "refuses it" if answer.status_code in (401, 403) else "answers"
    return f"{provider.name} {refused} (HTTP {answer.status_code})."
