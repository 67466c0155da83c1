"""`make local-aws`: the stack on this machine. moto plays DynamoDB and Secrets Manager, `sam local start-api` plays API
Gateway and Lambda, with the authorizer. Prints a curl that works; ends with Ctrl-C.

Needs a container engine. SAM_LOCAL is the command that starts the API (default: `.venv-sam/bin/sam local start-api`);
AWS_STAND_IN_HOST is this machine's address on the containers' network, if it is not the usual one. Provider keys
(`OPENAI_API_KEY`, ...) go from the environment into the stand-in's secret; without one, use the model "echo".
"""

from __future__ import annotations

import json
import logging
import os
import platform
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from openresponses.store.dynamodb_keys import DynamoDBKeys

from scripts import stand_in

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
NAME = "openresponses-local"


def provider_settings(environ: dict[str, str]) -> dict[str, str]:
    return {
        name: value for name, value in environ.items() if name.endswith(("_API_KEY", "_BASE_URL")) and value
    }


def addresses() -> tuple[str, str]:
    """Where to listen, and what containers call that: never all interfaces, for the keys in the secret."""
    if given := os.environ.get("AWS_STAND_IN_HOST"):
        return given, given
    if sys.platform != "linux":
        return "127.0.0.1", "host.docker.internal"
    template = "{{(index .IPAM.Config 0).Gateway}}"
    command = ["docker", "network", "inspect", "bridge", "--format", template]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    if asked.returncode:
        sys.exit("local-aws: no container engine answers; start Docker, or set AWS_STAND_IN_HOST")
    gateway = asked.stdout.strip()
    return gateway, gateway


def main(port: int = 3000) -> int:
    from moto.server import ThreadedMotoServer

    listen, host = addresses()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer(ip_address=listen, port=0, verbose=False)
    moto.start()
    _, moto_port = moto.get_host_and_port()
    here = f"http://{listen}:{moto_port}"
    stand_in.make_table(here, NAME)
    secret = stand_in.make_secret(here, NAME, provider_settings(dict(os.environ)))
    sealing = stand_in.make_sealing_secret(here, f"{NAME}-sealing")
    key = DynamoDBKeys(NAME, client=lambda: stand_in.client("dynamodb", here)).create("local")

    with tempfile.NamedTemporaryFile("w", suffix=".json") as variables:
        there = f"http://{host}:{moto_port}"
        given = {"TABLE_NAME": NAME, "AWS_ENDPOINT_URL": there}
        given |= {"PROVIDER_SECRET_ARN": secret, "SEALING_SECRET_ARN": sealing}
        json.dump({"Parameters": given}, variables)
        variables.flush()
        start = shlex.split(os.environ.get("SAM_LOCAL", f"{ROOT}/.venv-sam/bin/sam local start-api"))
        command = [*start, "--port", str(port), "--env-vars", variables.name, "--warm-containers", "EAGER"]
        command += ["--parameter-overrides", f"Architecture={ARCHITECTURE}"]
        print(
            f"\nWhen it says that it is running (a streamed answer comes whole, at its end):\n"
            f"  curl http://127.0.0.1:{port}/v1/responses -H 'Authorization: Bearer {key}' \\\n"
            f'    -H \'Content-Type: application/json\' -d \'{{"model":"echo","input":"Hello"}}\'\n',
            flush=True,
        )
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": stand_in.REGION,
            "SAM_CLI_TELEMETRY": "0",
        }
        api = subprocess.Popen(command, cwd=ROOT, env=environment)
        try:
            return api.wait()
        except KeyboardInterrupt:
            api.send_signal(signal.SIGINT)
            api.wait(60)
            return 0
        finally:
            moto.stop()


if __name__ == "__main__":
    sys.exit(main(int(os.environ.get("PORT", "3000"))))
