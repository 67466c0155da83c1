"""What must hold of the deployment, read off the translated template: each check yields what is wrong, in a line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

Template = dict[str, Any]
Check = Callable[[Template], Iterator[str]]

STREAMING = "/2021-11-15/functions/"
OPEN_ROUTES = {"/healthz"}
PLAYGROUND = [
    "GET /",
    "GET /assets/{file}",
]  # open where the parameter Playground is "true", and nowhere else
# The two writes of X-Ray cannot be narrowed to a resource.
XRAY = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
# AWS's own policies, by the least that can be said for them: these are for a network only, and by parameter.
ALLOWED_MANAGED = {"VpcPolicyArn"}
# CodeDeploy's own, for the role by which a canary moves the alias: SAM would make the same.
CANARY_POLICY = {
    "Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited"
}
SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL")
REFERENCE = re.compile(r"_(ARN|URL|NAME)$")
KEY_LIKE = re.compile(r"\b(sk-|AIza|AKIA|xai-|gsk_|or-)[\w-]{8,}")
KEPT = ("AWS::DynamoDB::Table", "AWS::SecretsManager::Secret")


def streaming_routes(template: Template) -> Iterator[str]:
    for route, operation in routes(template):
        integration = operation["x-amazon-apigateway-integration"]
        if integration["type"] == "mock":
            continue
        uri = str(integration["uri"])
        if STREAMING not in uri or "response-streaming-invocations" not in uri:
            yield f"{route}: not a streaming URI: {uri}"
        if integration.get("responseTransferMode") != "STREAM":
            yield f"{route}: responseTransferMode is {integration.get('responseTransferMode')}"


def authorized_routes(template: Template) -> Iterator[str]:
    """Every route but health and the preflights needs a key."""
    for route, operation in routes(template):
        method, path = route.split()
        schemes = [name for requirement in operation.get("security", [{"none": []}]) for name in requirement]
        is_open = path in OPEN_ROUTES or route in PLAYGROUND or (method == "OPTIONS" and is_mock(operation))
        if schemes != ["BearerKey"] and not is_open:
            yield f"{route}: authorized by {schemes}"
        if path in OPEN_ROUTES and method == "GET" and "BearerKey" in schemes:
            yield f"{route}: needs a key"


def authorizer(template: Template) -> Iterator[str]:
    for _, api in of_type(template, "AWS::ApiGateway::RestApi"):
        schemes = api["Body"]["components"]["securitySchemes"]
        settings = schemes["BearerKey"]["x-amazon-apigateway-authorizer"]
        if (
            settings["type"] != "request"
            or settings["identitySource"] != "method.request.header.Authorization"
        ):
            yield f"the authorizer is not one of requests, by Authorization: {settings}"
        if not 0 < settings["authorizerResultTtlInSeconds"] <= 300:
            yield "the authorizer's answers are kept too long, or not at all"


def regional(template: Template) -> Iterator[str]:
    for name, api in of_type(template, "AWS::ApiGateway::RestApi"):
        kinds = list(branches(api.get("EndpointConfiguration", {}).get("Types")))
        if not kinds or not set(kinds) <= {"PRIVATE", "REGIONAL"}:
            yield f"{name}: {kinds}: streams would end after 30 s of silence"


def timeouts(template: Template) -> Iterator[str]:
    """turn + its 10 s of grace < function < integration."""
    (_, function) = streaming_function(template)
    turn = float(resolve(template, function["Environment"]["Variables"]["OPENRESPONSES_MAX_TURN_SECONDS"]))
    most = float(template["Parameters"]["MaxTurnSeconds"]["MaxValue"])
    if not turn <= most < function["Timeout"] - 10:
        yield f"a turn of {most} s does not end before the function's {function['Timeout']} s"
    for route, operation in routes(template):
        if is_mock(operation):
            continue
        integration = operation["x-amazon-apigateway-integration"]
        limit = integration.get("timeoutInMillis", 29_000) / 1000
        own = next(f for n, f in of_type(template, "AWS::Lambda::Function") if n in str(integration["uri"]))
        if not own["Timeout"] < limit <= 900:
            yield f"{route}: the integration's {limit} s are not more than the function's {own['Timeout']} s"


def playground(template: Template) -> Iterator[str]:
    """Off by default; its open routes are there on its condition only, and lead to a function that may only log."""
    if template["Parameters"]["Playground"]["Default"] != "false":
        yield "on by default"
    for _, api in of_type(template, "AWS::ApiGateway::RestApi"):
        for route in PLAYGROUND:
            path = api["Body"]["paths"].get(route.split()[1], {})
            if path.get("Fn::If", [None])[0] != "HasPlayground":
                yield f"{route}: there whatever the parameter says"
    for route, operation in routes(template):
        uri = str(operation["x-amazon-apigateway-integration"].get("uri"))
        if (route in PLAYGROUND) != ("PlaygroundFunction" in uri):
            yield f"{route}: leads to {uri}"
    for name, statement in statements(template):
        actions = set(as_list(statement["Action"]))
        if name == "PlaygroundRole" and not actions <= XRAY | {"logs:CreateLogStream", "logs:PutLogEvents"}:
            yield f"{name}: may {actions}"


def gateway_errors(template: Template) -> Iterator[str]:
    wanted = {"UNAUTHORIZED", "ACCESS_DENIED", "REQUEST_TOO_LARGE", "THROTTLED", "DEFAULT_4XX", "DEFAULT_5XX"}
    for name, api in of_type(template, "AWS::ApiGateway::RestApi"):
        answers = api["Body"].get("x-amazon-apigateway-gateway-responses", {})
        for missing in wanted - set(answers):
            yield f"{name}: {missing} is not in the API's error shape"
        for kind, answer in answers.items():
            body = answer["responseTemplates"]["application/json"]
            if not all(f'"{field}":' in body for field in ("error", "type", "code", "message", "param")):
                yield f"{name}: {kind} is {body}"
            if "429" in str(answer.get("statusCode")) and not any(
                "Retry-After" in k for k in answer["responseParameters"]
            ):
                yield f"{name}: {kind} has no Retry-After"


def throttled(template: Template) -> Iterator[str]:
    for name, stage in of_type(template, "AWS::ApiGateway::Stage"):
        settings = [row for row in stage.get("MethodSettings", []) if row["ResourcePath"] == "/*"]
        if not settings or not resolve(template, settings[0].get("ThrottlingRateLimit")):
            yield f"{name}: not throttled"
        if settings and settings[0].get("DataTraceEnabled"):
            yield f"{name}: logs bodies"


def table(template: Template) -> Iterator[str]:
    for name, made in of_type(template, "AWS::DynamoDB::Table"):
        if made.get("TimeToLiveSpecification") != {"AttributeName": "expires_at", "Enabled": True}:
            yield f"{name}: no TTL on expires_at"
        if not made.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled"):
            yield f"{name}: no point-in-time recovery"
        if not made.get("SSESpecification", {}).get("SSEEnabled"):
            yield f"{name}: not encrypted"
        if resolve(template, made.get("DeletionProtectionEnabled")) != "true":
            yield f"{name}: not protected against deletion"
        if made.get("BillingMode") != "PAY_PER_REQUEST":
            yield f"{name}: not on demand"
        if [(key["AttributeName"], key["KeyType"]) for key in made["KeySchema"]] != [
            ("pk", "HASH"),
            ("sk", "RANGE"),
        ]:
            yield f"{name}: another key would replace the table"
        if "TableName" in made:
            yield f"{name}: has a name of its own, so that two stacks cannot stand side by side"


def kept(template: Template) -> Iterator[str]:
    """Table and secrets outlive the stack, and no update writes a secret again."""
    found, generated = set(), 0
    for name, resource in template["Resources"].items():
        if resource["Type"] in KEPT:
            found.add(resource["Type"])
            for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
                if resource.get(policy) != "Retain":
                    yield f"{name}: {policy} is {resource.get(policy)}"
            if "SecretString" in resource["Properties"]:
                yield f"{name}: SecretString would overwrite the keys"
            generated += "GenerateSecretString" in resource["Properties"]
    # It acts once, when the secret is made: wanted for the sealing key, but no provider key looks like that.
    if generated != 1:
        yield f"{generated} generated secrets: the sealing key is one, the provider keys are none"
    for missing in set(KEPT) - found:
        yield f"no {missing}"


def least_privilege(template: Template) -> Iterator[str]:
    for name, statement in statements(template):
        actions, resources = as_list(statement["Action"]), as_list(statement.get("Resource", []))
        for action in actions:
            if "*" in action:
                yield f"{name}: allows {action}"
        if any(resource == "*" for resource in resources) and not set(actions) <= XRAY:
            yield f"{name}: allows {actions} on everything"
        if "NotAction" in statement or "NotResource" in statement:
            yield f"{name}: allows by exception"
    for name, arn in managed_policies(template):
        if (name, arn) == ("CanaryRole", CANARY_POLICY):
            continue
        if not (isinstance(arn, dict) and arn.get("Ref") in ALLOWED_MANAGED):
            yield f"{name}: has the managed policy {arn}"


def environment(template: Template) -> Iterator[str]:
    for name, function in of_type(template, "AWS::Lambda::Function"):
        for variable, value in function.get("Environment", {}).get("Variables", {}).items():
            if SECRET_NAME.search(variable) and not REFERENCE.search(variable):
                yield f"{name}: {variable} looks like a secret"
            if KEY_LIKE.search(str(value)):
                yield f"{name}: {variable} holds a key"


def logs(template: Template) -> Iterator[str]:
    for name, group in of_type(template, "AWS::Logs::LogGroup"):
        if not resolve(template, group.get("RetentionInDays")):
            yield f"{name}: kept for ever"
    for name, function in of_type(template, "AWS::Lambda::Function"):
        group = function.get("LoggingConfig", {}).get("LogGroup", {})
        if group.get("Ref") not in template["Resources"]:
            yield f"{name}: logs to a group that nobody cleans"


def functions(template: Template) -> Iterator[str]:
    aliased = {alias["FunctionName"]["Ref"] for _, alias in of_type(template, "AWS::Lambda::Alias")}
    for name, function in of_type(template, "AWS::Lambda::Function"):
        if function["Runtime"] != "python3.13":
            yield f"{name}: runs on {function['Runtime']}"
        if function.get("TracingConfig", {}).get("Mode") != "Active":
            yield f"{name}: not traced"
        if [resolve(template, value) for value in function["Architectures"]] != ["arm64"]:
            yield f"{name}: not arm64 by default"
        if name not in aliased:
            yield f"{name}: no alias"


def worker(template: Template) -> Iterator[str]:
    """The asynchronous function: outlives a turn, is retried, leaves dead letters, sweeps; only we may invoke it."""
    (name, function) = next(
        pair for pair in of_type(template, "AWS::Lambda::Function") if pair[0] == "WorkerFunction"
    )
    most = float(template["Parameters"]["MaxTurnSeconds"]["MaxValue"])
    if not most < function["Timeout"] - 10:
        yield f"{name}: ends before a turn of {most} s"
    configs = [
        c for _, c in of_type(template, "AWS::Lambda::EventInvokeConfig") if c["FunctionName"]["Ref"] == name
    ]
    if not configs or "OnFailure" not in configs[0].get("DestinationConfig", {}):
        yield f"{name}: what fails leaves no dead letter"
    if not configs or "MaximumRetryAttempts" not in configs[0]:
        yield f"{name}: retried as it happens"
    age = configs[0].get("MaximumEventAgeInSeconds", 21600) if configs else 21600
    asking = streaming_function(template)[1]["Environment"]["Variables"]
    if not age < float(asking.get("OPENRESPONSES_BACKGROUND_QUEUE_SECONDS", 60)):
        yield f"{name}: may begin a response after it was given up"
    rules = [rule for _, rule in of_type(template, "AWS::Events::Rule")]
    if [target.get("Input") for rule in rules for target in rule["Targets"]] != ['{"sweep": true}']:
        yield f"{name}: does not sweep"
    for role, statement in statements(template):
        if "lambda:InvokeFunction" in as_list(statement["Action"]) and statement["Resource"] != [
            {"Fn::Sub": "${WorkerFunction.Arn}:live"}
        ]:
            yield f"{role}: may invoke {statement['Resource']}"


def lease_index(template: Template) -> Iterator[str]:
    """The sweep's index knows no content, and the worker alone reads it."""
    for name, made in of_type(template, "AWS::DynamoDB::Table"):
        indexes = {index["IndexName"]: index for index in made["GlobalSecondaryIndexes"]}
        if "open_leases" not in indexes:
            yield f"{name}: no index of open leases"
        for index in indexes.values():
            if index["Projection"]["ProjectionType"] != "KEYS_ONLY":
                yield f"{name}: {index['IndexName']} holds more than keys"
    readers = {
        role for role, statement in statements(template) if "open_leases" in str(statement["Resource"])
    }
    if readers != {"WorkerRole"}:
        yield f"open leases are read by {readers}"


def websocket(template: Template) -> Iterator[str]:
    """A connection needs a key, its messages are throttled and not traced, its function sees connections alone."""
    routes = {route["RouteKey"]: route for _, route in of_type(template, "AWS::ApiGatewayV2::Route")}
    if set(routes) != {"$connect", "$disconnect", "response.create", "$default"}:
        yield f"routes: {sorted(routes)}"
    connect = routes.get("$connect", {})
    if (connect.get("AuthorizationType"), "AuthorizerId" in connect) != ("CUSTOM", True):
        yield "$connect needs no key"
    for name, stage in of_type(template, "AWS::ApiGatewayV2::Stage"):
        settings = stage.get("DefaultRouteSettings", {})
        if not {"ThrottlingRateLimit", "ThrottlingBurstLimit"} <= set(settings):
            yield f"{name}: not throttled"
        if settings.get("DataTraceEnabled") is not False:
            yield f"{name}: logs what clients send"
        if set(stage_needs(template, name)) != {n for n, _ in of_type(template, "AWS::ApiGatewayV2::Route")}:
            yield f"{name}: may be deployed before its routes"
    for role, statement in statements(template):
        if role == "WebSocketRole" and "dynamodb:GetItem" in as_list(statement["Action"]):
            keys = statement.get("Condition", {}).get("ForAllValues:StringLike", {})
            if keys != {"dynamodb:LeadingKeys": ["W#*"]}:
                yield f"{role}: reads more than connections"
        if "execute-api:ManageConnections" in as_list(
            statement["Action"]
        ) and "${WebSocketApi}/live/" not in str(statement["Resource"]):
            yield f"{role}: manages {statement['Resource']}"


def stage_needs(template: Template, name: str) -> list[str]:
    return as_list(template["Resources"][name].get("DependsOn", []))


CHECKS: list[Check] = [
    playground,
    websocket,
    worker,
    lease_index,
    streaming_routes,
    authorized_routes,
    authorizer,
    regional,
    timeouts,
    gateway_errors,
    throttled,
    table,
    kept,
    least_privilege,
    environment,
    logs,
    functions,
]


# ----------------------------------------------------------------------- reading a template


def of_type(template: Template, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, resource in template["Resources"].items():
        if resource["Type"] == kind:
            yield name, resource.get("Properties", {})


def routes(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    for _, api in of_type(template, "AWS::ApiGateway::RestApi"):
        for path, methods in api["Body"]["paths"].items():
            for method, operation in if_so(methods).items():
                yield (
                    f"{method.replace('x-amazon-apigateway-any-method', 'any').upper()} {path}",
                    if_so(operation),
                )


def if_so(value: dict[str, Any]) -> dict[str, Any]:
    """What an Fn::If has where its condition holds; any other value as it stands."""
    chosen: dict[str, Any] = value.get("Fn::If", [None, value])[1]
    return chosen


def is_mock(operation: dict[str, Any]) -> bool:
    return bool(operation["x-amazon-apigateway-integration"]["type"] == "mock")


def streaming_function(template: Template) -> tuple[str, dict[str, Any]]:
    functions = of_type(template, "AWS::Lambda::Function")
    return next((n, f) for n, f in functions if "AWS_LAMBDA_EXEC_WRAPPER" in f["Environment"]["Variables"])


def resolve(template: Template, value: Any) -> Any:
    """A parameter's default; anything else as it stands."""
    if isinstance(value, dict) and value.get("Ref") in template.get("Parameters", {}):
        return template["Parameters"][value["Ref"]].get("Default")
    return value


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def branches(value: Any) -> Iterator[Any]:
    """The values an Fn::If may take, and the elements of lists."""
    if isinstance(value, dict) and "Fn::If" in value:
        for branch in value["Fn::If"][1:]:
            yield from branches(branch)
    elif isinstance(value, list):
        for element in value:
            yield from branches(element)
    elif value is not None and value != {"Ref": "AWS::NoValue"}:
        yield value


def statements(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of roles' own policies, of AWS::IAM::Policy and of AWS::IAM::ManagedPolicy."""
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        documents = []
        if resource["Type"] == "AWS::IAM::Role":
            documents = [policy["PolicyDocument"] for policy in branches(properties.get("Policies"))]
        elif resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
            documents = [properties["PolicyDocument"]]
        for document in documents:
            for statement in branches(document["Statement"]):
                if statement["Effect"] == "Allow":
                    yield name, {**statement, "Resource": list(branches(statement.get("Resource")))}


def managed_policies(template: Template) -> Iterator[tuple[str, Any]]:
    for name, role in of_type(template, "AWS::IAM::Role"):
        for arn in branches(role.get("ManagedPolicyArns")):
            yield name, arn
