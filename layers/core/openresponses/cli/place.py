"""Which stack, or which local store, an operator works on.

The stack is found by --stack, --region and --profile, else by samconfig.toml, else as AWS's own tools do. Its outputs
name the table and the secret. With --store PATH it is the history of the local server.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from . import local, stack_secret
from .base import CommandError

if TYPE_CHECKING:
    from ..secrets import FileSecrets
    from ..store.keys import ApiKeys

SAVED = Path("samconfig.toml")  # what `sam deploy --guided` leaves in the current folder


@dataclass(frozen=True, slots=True)
class Place:
    """What the command line says of the place."""

    stack: str | None = None
    region: str | None = None
    profile: str | None = None
    store: str | None = None


def place_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --stack, --region, --profile and --store to a command, which is given them as `place`."""

    @wraps(function)
    def run(
        stack: str | None, region: str | None, profile: str | None, store: str | None, **given: Any
    ) -> Any:
        return function(place=Place(stack, region, profile, store), **given)

    options = (
        click.option("--stack", help="Name of the stack. [default: samconfig.toml's]"),
        click.option("--region", help="AWS region. [default: samconfig.toml's, else AWS's own]"),
        click.option("--profile", help="Profile of AWS credentials."),
        click.option("--store", metavar="PATH", help="The local server's history, instead of a stack."),
    )
    decorated: Callable[..., Any] = run
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


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
        from ..store.dynamodb_keys import DynamoDBKeys

        return DynamoDBKeys(self.outputs["TableName"], client=lambda: self.client("dynamodb"))

    def secrets(self) -> dict[str, str]:
        return stack_secret.read(self.client("secretsmanager"), self.outputs["ProviderSecretArn"])[0]

    def set_secret(self, name: str, value: str) -> dict[str, str]:
        return stack_secret.write(
            self.client("secretsmanager"), self.outputs["ProviderSecretArn"], name, value
        )


@dataclass(frozen=True, slots=True)
class LocalStore:
    """The same of a local server: its history's file, and the file of providers' keys beside it."""

    path: str
    notice: ClassVar[str] = ""

    @property
    def keys(self) -> ApiKeys:
        from ..store.base import StoreUnavailable
        from ..store.sqlite_keys import SQLiteKeys

        try:
            return SQLiteKeys(self.path)
        except StoreUnavailable as error:
            raise CommandError(
                f"the store cannot be opened: {error}; `openresponses doctor --store {self.path}` says what to do"
            ) from None

    def secrets(self) -> dict[str, str]:
        return self._file.values()

    def set_secret(self, name: str, value: str) -> dict[str, str]:
        try:
            return self._file.set(name, value)
        except OSError as error:
            raise CommandError(f"{self.path}.secrets.json cannot be written: {error.strerror}") from None

    @property
    def _file(self) -> FileSecrets:
        from ..secrets import FileSecrets

        return FileSecrets(Path(f"{self.path}.secrets.json"), {})


def find(given: Place) -> Stack | LocalStore:
    """The stack, or the store, that was meant. Raises CommandError."""
    if given.store:
        return LocalStore(str(Path(given.store).expanduser()))
    return find_stack(given)


def or_local(given: Place) -> Place:
    """The local server's history in its usual place, where nothing names another place and there is one."""
    if any((given.stack, given.region, given.profile, given.store)) or _may_be_deployed():
        return given
    path = Path(local.history_path(None))
    return Place(store=str(path)) if path.is_file() else given


def _may_be_deployed() -> bool:
    """A stack is in a region. The samconfig.toml of the repository names none, until somebody has deployed."""
    if not SAVED.exists():
        return False
    if "region" in saved_parameters(SAVED):
        return True
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.Session().region_name is not None
    except BotoCoreError:  # a profile that is missing: the command says so
        return True


def find_stack(given: Place) -> Stack:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError, NoRegionError

    saved = saved_parameters(SAVED)
    name = given.stack or saved.get("stack_name") or "openresponses"
    try:
        session = boto3.Session(
            profile_name=given.profile or saved.get("profile"),
            region_name=given.region or saved.get("region"),
        )
        (stack,) = session.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except NoRegionError:
        raise CommandError(
            "no AWS region is set: give --region for a deployed stack, or --store PATH for a local server's history"
        ) from None
    except (BotoCoreError, ClientError) as error:
        hint = "" if given.stack else "; name one with --stack, or a local history with --store"
        said = str(error).rstrip(".")
        raise CommandError(f"the stack {name!r} cannot be found: {said}{hint}") from None
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}
    if missing := {"TableName", "ProviderSecretArn"} - set(outputs):
        raise CommandError(
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
