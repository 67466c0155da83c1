"""What a company asks of a deployment, each by a parameter: there when it is asked for, not there by default, and each
check fails on a template that lacks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.infra.checks import Template, as_list, of_type, statements
from tests.infra.conftest import ROOT, Templates
from tests.infra.deployed import deployed

FILES = {
    name: (ROOT / f"{name}.yaml").read_text() for name in ("template", "infra/encryption", "infra/domains")
}
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234"
ACL = "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/acl/1"
BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"
CERTIFICATE = "arn:aws:acm:eu-west-1:123456789012:certificate/1"


def encrypted(template: Template, key: Any = KEY) -> Iterator[str]:
    """Table, secrets, logs and queue; the roles may use the key through these services, and no other way."""
    for name, table in of_type(template, "AWS::DynamoDB::Table"):
        if table["SSESpecification"] != {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}:
            yield f"{name}: {table['SSESpecification']}"
    for kind in ("AWS::SecretsManager::Secret", "AWS::Logs::LogGroup"):
        for name, of in of_type(template, kind):
            if of.get("KmsKeyId") != key:
                yield f"{name}: with {of.get('KmsKeyId')}"
    for name, queue in of_type(template, "AWS::SQS::Queue"):
        if (queue.get("KmsMasterKeyId"), "SqsManagedSseEnabled" in queue) != (key, False):
            yield f"{name}: {queue}"
    readers = {role for role, of in statements(template) if "dynamodb:GetItem" in as_list(of["Action"])}
    users: set[str] = set()
    for name, policy in of_type(template, "AWS::IAM::Policy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            if "kms:Decrypt" in as_list(statement["Action"]):
                users |= {role["Ref"] for role in policy["Roles"]}
                via = statement.get("Condition", {}).get("StringEquals", {}).get("kms:ViaService", [])
                if statement["Resource"] != key or len(via) != 3:
                    yield f"{name}: may decrypt {statement['Resource']} through {via}"
    if readers != users:
        yield f"{readers ^ users}: reads the table, or uses the key, but not both"


def encrypted_with_a_new_key(template: Template) -> Iterator[str]:
    yield from encrypted(template, {"Fn::GetAtt": ["Encryption", "Outputs.KeyArn"]})
    if template["Resources"].get("Encryption", {}).get("DeletionPolicy") != "Retain":
        yield "the key goes with the stack, and with it all that it has encrypted"


def not_encrypted_with_a_key(template: Template) -> Iterator[str]:
    """AWS's keys: nothing names one, and the queue has its own."""
    text = str(template["Resources"])
    for word in ("KmsKeyId", "KmsMasterKeyId", "KMSMasterKeyId", "kms:Decrypt", "Encryption.Outputs"):
        if word in text:
            yield word
    for name, queue in of_type(template, "AWS::SQS::Queue"):
        if queue.get("SqsManagedSseEnabled") is not True:
            yield f"{name}: not encrypted"


def behind_a_web_acl(template: Template) -> Iterator[str]:
    found = [of for _, of in of_type(template, "AWS::WAFv2::WebACLAssociation")]
    if [of["WebACLArn"] for of in found] != [ACL]:
        yield f"associations: {found}"
    for of in found:
        if "/restapis/${Api}/stages/${ApiliveStage}" not in str(of["ResourceArn"]):
            yield f"it guards {of['ResourceArn']}"


def at_domains(template: Template) -> Iterator[str]:
    nested = template["Resources"].get("Domains", {}).get("Properties", {}).get("Parameters", {})
    wanted = {
        "RestDomain": "api.example.com",
        "WebSocketDomain": "ws.example.com",
        "CertificateArn": CERTIFICATE,
    }
    if {name: nested.get(name) for name in wanted} != wanted:
        yield f"domains: {nested}"
    for name in ("RestStage", "WebSocketStage"):
        if "Ref" not in (nested.get(name) or {}):
            yield f"{name}: not one that is there"
    if not {"DomainUrl", "DomainTarget", "WebSocketDomainTarget"} <= set(template["Outputs"]):
        yield "nobody is told what the records must say"


def private(template: Template) -> Iterator[str]:
    """Reachable through these endpoints alone: others are denied, and there is no WebSocket, which is always public."""
    for name, api in of_type(template, "AWS::ApiGateway::RestApi"):
        wanted = {"Types": ["PRIVATE"], "VpcEndpointIds": ["vpce-1", "vpce-2"]}
        if api["EndpointConfiguration"] != wanted:
            yield f"{name}: {api['EndpointConfiguration']}"
        denials = [
            of for of in api["Body"]["x-amazon-apigateway-policy"]["Statement"] if of["Effect"] == "Deny"
        ]
        conditions = [of.get("Condition") for of in denials]
        if conditions != [{"StringNotEquals": {"aws:SourceVpce": ["vpce-1", "vpce-2"]}}]:
            yield f"{name}: denies {conditions}"
    for kind in ("AWS::ApiGatewayV2::Stage", "AWS::ApiGateway::DomainName"):
        for name, _ in of_type(template, kind):
            yield f"{name}: a public way in"
    if "WebSocketUrl" in template["Outputs"]:
        yield "an address that is not there"


def public(template: Template) -> Iterator[str]:
    for name, api in of_type(template, "AWS::ApiGateway::RestApi"):
        if api["EndpointConfiguration"] != {"Types": ["REGIONAL"]}:
            yield f"{name}: {api['EndpointConfiguration']}"
        effects = [of["Effect"] for of in api["Body"]["x-amazon-apigateway-policy"]["Statement"]]
        if effects != ["Allow"]:
            yield f"{name}: {effects}"
    for kind in ("AWS::WAFv2::WebACLAssociation", "AWS::ApiGateway::DomainName"):
        yield from (name for name, _ in of_type(template, kind))
    yield from {"Domains", "Encryption"} & set(template["Resources"])


def bounded(template: Template) -> Iterator[str]:
    """Every role, SAM's own included, which it would make for a canary."""
    roles = dict(of_type(template, "AWS::IAM::Role"))
    if len(roles) < 6:
        yield f"roles: {sorted(roles)}"
    for name, role in roles.items():
        if role.get("PermissionsBoundary") != BOUNDARY:
            yield f"{name}: bounded by {role.get('PermissionsBoundary')}"


def unbounded(template: Template) -> Iterator[str]:
    for name, role in of_type(template, "AWS::IAM::Role"):
        if "PermissionsBoundary" in role:
            yield name


def logs_for_a_year(template: Template) -> Iterator[str]:
    groups = dict(of_type(template, "AWS::Logs::LogGroup"))
    if len(groups) < 6:
        yield f"groups: {sorted(groups)}"
    for name, group in groups.items():
        if group.get("RetentionInDays") != "365":
            yield f"{name}: kept for {group.get('RetentionInDays')}"


def reserved(template: Template) -> Iterator[str]:
    if template["Resources"]["ResponsesFunction"]["Properties"].get("ReservedConcurrentExecutions") != "50":
        yield "not reserved"


def tokens(template: Template) -> Iterator[str]:
    """Both who check bearers know the identity provider."""
    for name in ("AuthorizerFunction", "ResponsesFunction"):
        properties = template["Resources"][name]["Properties"]
        told = [
            properties["Environment"]["Variables"].get(f"OPENRESPONSES_OIDC_{of}")
            for of in ("ISSUER", "AUDIENCE", "TENANT_CLAIM")
        ]
        if told != ["https://id.example.com", "gateway", "org"]:
            yield f"{name}: {told}"
        if not any(of["Ref"].startswith("CoreLayer") for of in properties.get("Layers", [])):
            yield f"{name}: without the code that reads tokens"


def authorizers_rights(template: Template) -> Iterator[str]:
    """Rows of keys: it reads them, and writes the day of their last use, nothing else."""
    table = {"Fn::GetAtt": ["Table", "Arn"]}
    rows = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["K#*"]}}
    use = {
        "ForAllValues:StringEquals": {"dynamodb:Attributes": ["pk", "sk", "used_on"]},
        "StringEqualsIfExists": {"dynamodb:ReturnValues": "NONE"},
    }
    found = {
        str(of["Action"]): (of["Resource"], of.get("Condition"))
        for role, of in statements(template)
        if role == "AuthorizerRole" and "dynamodb" in str(of["Action"])
    }
    wanted = {"dynamodb:GetItem": ([table], rows), "dynamodb:UpdateItem": ([table], {**rows, **use})}
    if found != wanted:
        yield f"AuthorizerRole: {found}"


Check = Callable[[Template], Iterator[str]]
ALL = {"CanaryDeployment": "true", "Playground": "true", "AccessLogs": "true"}
PRIVATE = {"VpcEndpointIds": "vpce-1,vpce-2"}
DOMAINS = {
    "DomainName": "api.example.com",
    "WebSocketDomainName": "ws.example.com",
    "CertificateArn": CERTIFICATE,
}
TOKENS = {"OidcIssuer": "https://id.example.com", "OidcAudience": "gateway", "OidcTenantClaim": "org"}

POSTURES: dict[str, tuple[dict[str, str], Check]] = {
    "a key of the company's": ({"KmsKey": KEY, **ALL}, encrypted),
    "a key of the stack's": ({"KmsKey": "new", **ALL}, encrypted_with_a_new_key),
    "AWS's keys": (ALL, not_encrypted_with_a_key),
    "a web ACL": ({"WebAclArn": ACL}, behind_a_web_acl),
    "domains": (DOMAINS, at_domains),
    "private": (PRIVATE, private),
    "public": ({}, public),
    "a boundary": ({"PermissionsBoundaryArn": BOUNDARY, **ALL}, bounded),
    "no boundary": (ALL, unbounded),
    "logs for a year": ({"LogRetentionDays": "365", **ALL}, logs_for_a_year),
    "reserved concurrency": ({"ReservedConcurrency": "50"}, reserved),
    "tokens": (TOKENS, tokens),
    "the authorizer's rights": ({}, authorizers_rights),
}

COMPANYS, BOUND, RIGHTS = "a key of the company's", "a boundary", "the authorizer's rights"
CODE = "      CodeUri: functions/authorizer\n"
RESERVED = "ReservedConcurrentExecutions: !If [HasReserved, !Ref ReservedConcurrency, !Ref AWS::NoValue]"
CANARY_ROLE = "        Role: !If [HasCanary, !GetAtt CanaryRole.Arn, !Ref AWS::NoValue]\n"
NO_POSTURE = "!Equals [a, b]"

# what is broken → the posture that must see it, what is replaced, by what
BROKEN: dict[str, tuple[str, str, str]] = {
    "a table with AWS's key": (COMPANYS, "        KMSMasterKeyId: *kms-key\n", ""),
    "a secret with AWS's key": (COMPANYS, "      KmsKeyId: *kms-key\n", ""),
    "logs without a key": (COMPANYS, "Properties: *logs", "Properties: {RetentionInDays: 7}"),
    "a queue without a key": (COMPANYS, "      KmsMasterKeyId: *kms-key\n", ""),
    "a role that cannot read": (COMPANYS, "!Ref AuthorizerRole, !Ref WebSocketRole]", "!Ref WebSocketRole]"),
    "a key for everything": (COMPANYS, "Resource: *kms-key-arn", 'Resource: "*"'),
    "a key by any way": (COMPANYS, "                  - !Sub sqs.${AWS::Region}.amazonaws.com\n", ""),
    "a key that goes": (
        "a key of the stack's",
        "    Condition: MakeKmsKey\n    DeletionPolicy: Retain\n",
        "    Condition: MakeKmsKey\n",
    ),
    "a queue in the clear": ("AWS's keys", "!If [HasKmsKey, !Ref AWS::NoValue, true]", "!Ref AWS::NoValue"),
    "a web ACL for another stage": ("a web ACL", "stages/${Api.Stage}", "stages/Prod"),
    "a web ACL for nobody": ("a web ACL", '!Not [!Equals [!Ref WebAclArn, ""]]', NO_POSTURE),
    "a domain without a certificate": ("domains", "        CertificateArn: !Ref CertificateArn\n", ""),
    "others' endpoints": ("private", "              - Effect: Deny\n", "              - Effect: Allow\n"),
    "a public WebSocket": ("private", "    Condition: IsPublic\n    DependsOn", "    DependsOn"),
    "a private API for all": ("private", "!If [IsPrivate, PRIVATE, REGIONAL]", "REGIONAL"),
    "a policy that shuts all out": ("public", "              - IsPrivate\n", "              - IsPublic\n"),
    "a role without a boundary": (BOUND, "      PermissionsBoundary: *boundary\n", ""),
    "SAM's own role": (BOUND, CANARY_ROLE, ""),
    "a boundary for all": (
        "no boundary",
        '!Not [!Equals [!Ref PermissionsBoundaryArn, ""]]',
        "!Not [!Equals [a, b]]",
    ),
    "logs for a month": ("logs for a year", "RetentionInDays: !Ref LogRetentionDays", "RetentionInDays: 30"),
    "nothing reserved": ("reserved concurrency", RESERVED, "Description: shared"),
    "an issuer that nobody knows": ("tokens", "          OPENRESPONSES_OIDC_ISSUER: !Ref OidcIssuer\n", ""),
    "an authorizer without its code": ("tokens", CODE + "      Layers: [!Ref CoreLayer]\n", CODE),
    "an authorizer that raises limits": (RIGHTS, "[pk, sk, used_on]", "[pk, sk, used_on, limits]"),
    "an authorizer that writes responses": (RIGHTS, 'LeadingKeys: ["K#*"]', 'LeadingKeys: ["*"]'),
}


@pytest.fixture(scope="module")
def templates(translate: Callable[..., Templates]) -> Templates:
    """The nested templates; the stack's for each posture, as SAM fills some parameters in; and each broken one."""
    texts = dict(FILES)
    parameters = {posture: given for posture, (given, _) in POSTURES.items()}
    texts |= dict.fromkeys(POSTURES, FILES["template"])
    for what, (posture, old, new) in BROKEN.items():
        assert old in FILES["template"], what
        texts[what], parameters[what] = FILES["template"].replace(old, new), POSTURES[posture][0]
    return translate(texts, parameters)


@pytest.mark.parametrize("posture", POSTURES)
def test_posture(templates: Templates, posture: str) -> None:
    given, check = POSTURES[posture]
    assert list(check(deployed(templates[posture], **given))) == []


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_template_fails(templates: Templates, what: str) -> None:
    given, check = POSTURES[BROKEN[what][0]]
    assert list(check(deployed(templates[what], **given)))


@pytest.mark.parametrize(
    "given",
    [
        {"OidcIssuer": "https://id.example.com"},
        {"DomainName": "api.example.com"},
        {"WebSocketDomainName": "ws.example.com"},
        {**PRIVATE, "OneUrl": "true"},
        {**PRIVATE, **DOMAINS},
    ],
    ids=str,
)
def test_parameters_that_do_not_go_together_are_refused(templates: Templates, given: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match=r"need|cannot"):
        deployed(templates["template"], **given)


def test_the_keys_policy(templates: Templates) -> None:
    """IAM decides; the logs' service may use it for this stack's log groups alone."""
    key = deployed(templates["infra/encryption"], Name="stack")["Resources"]["Key"]
    assert key["DeletionPolicy"] == key["UpdateReplacePolicy"] == "Retain"
    assert key["Properties"]["EnableKeyRotation"] is True
    by_iam, logs = key["Properties"]["KeyPolicy"]["Statement"]
    assert by_iam["Principal"] == {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}
    assert logs["Principal"] == {"Service": {"Fn::Sub": "logs.${AWS::Region}.${AWS::URLSuffix}"}}
    (context,) = logs["Condition"]["ArnLike"].values()
    assert context["Fn::Sub"].endswith(":${AWS::AccountId}:log-group:${Name}-*")


def test_the_domains(templates: Templates) -> None:
    given = {
        "RestDomain": "api.example.com",
        "WebSocketDomain": "ws.example.com",
        "CertificateArn": CERTIFICATE,
    }
    with_zone = deployed(templates["infra/domains"], **given, HostedZoneId="Z1")["Resources"]
    assert set(with_zone) == {
        "Rest",
        "RestMapping",
        "RestRecord",
        "WebSocket",
        "WebSocketMapping",
        "WebSocketRecord",
    }
    rest = with_zone["Rest"]["Properties"]
    assert (rest["SecurityPolicy"], rest["EndpointConfiguration"]) == ("TLS_1_2", {"Types": ["REGIONAL"]})
    (websocket,) = with_zone["WebSocket"]["Properties"]["DomainNameConfigurations"]
    assert (websocket["SecurityPolicy"], websocket["CertificateArn"]) == ("TLS_1_2", CERTIFICATE)
    one = deployed(templates["infra/domains"], **{**given, "WebSocketDomain": ""})["Resources"]
    assert set(one) == {"Rest", "RestMapping"}
    handed = templates["template"]["Resources"]["Domains"]["Properties"]["Parameters"]
    assert set(handed) == set(templates["infra/domains"]["Parameters"])
