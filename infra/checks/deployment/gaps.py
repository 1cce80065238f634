"""What the emulator cannot do, each with what checks it instead.

The check fails if something on these lists works, or if something else does not. So the lists are complete and current.
"""

import copy
import json
import string
from urllib.parse import urlsplit

from emulator import ACCOUNT, Broken, claim

LINT = "cfn-lint knows its form"

# Resource types that the emulator cannot create. They are removed from the template.
TYPES = {
    "AWS::CloudWatch::CompositeAlarm": f"{LINT}; its alarms are deployed and checked",
}

# Properties that the emulator accepts and does not store.
PROPERTIES = {
    ("AWS::DynamoDB::Table", "TimeToLiveSpecification"): "rules.guard requires it; tests/it checks which items expire",
    ("AWS::DynamoDB::Table", "PointInTimeRecoverySpecification"): "rules.guard requires it",
    ("AWS::Lambda::Function", "ReservedConcurrentExecutions"): LINT,
    ("AWS::ApiGatewayV2::Stage", "DefaultRouteSettings"): "rules.guard requires it",
}

# What the emulator stores as the template says and does not do. `the_emulator_still_does_not_act` tries the first
# three; the others have no effect that a check could find.
BEHAVIOUR = [
    "the API needs no permission for its function",
    "the API writes no access log",
    "SNS accepts messages that AWS refuses: without the form `default`, or with too long a subject",
    "SNS sends no e-mail and asks nobody to confirm a subscription",
    "the schedule needs no role, retries nothing, leaves no dead letters, and passes no time or id",
    "alarms do not fire",
    "no traces are kept",
]


def for_the_emulator(template):
    """The template changed for the emulator. `still_needed` proves that each change is still needed."""
    template = copy.deepcopy(template)
    resources = template["Resources"]
    taken_out = [name for name, resource in resources.items() if resource["Type"] in TYPES]
    for name in taken_out:
        del resources[name]
    secrets = {name for name, resource in resources.items() if resource["Type"] == "AWS::SecretsManager::Secret"}
    for name in secrets:
        generated = resources[name]["Properties"].get("GenerateSecretString", {})
        if generated.pop("ExcludePunctuation", False):
            generated["ExcludeCharacters"] = string.punctuation
    for resource in resources.values():
        if resource["Type"] == "AWS::Lambda::Function":
            environment = resource["Properties"]["Environment"]
            environment["Variables"] = {name: as_text(value) for name, value in environment["Variables"].items()}
    return with_secrets_arns(without_mentions(template, taken_out), secrets)


def as_text(value):
    """A variable as text: with a number from a mapping, which CloudFormation makes a text, functions do not start."""
    is_of_a_mapping = isinstance(value, dict) and list(value) == ["Fn::FindInMap"]
    return {"Fn::Sub": ["${Text}", {"Text": value}]} if is_of_a_mapping else value


def without_mentions(value, taken_out):
    """Replaces the ARNs of removed alarms on the dashboard by their names."""
    if isinstance(value, list):
        return [without_mentions(part, taken_out) for part in value]
    if isinstance(value, dict):
        return {key: without_mentions(part, taken_out) for key, part in value.items()}
    if isinstance(value, str):
        for name in taken_out:
            value = value.replace(f"${{{name}.Arn}}", name)
    return value


def with_secrets_arns(value, secrets):
    """Replaces `Ref` of a secret: on AWS it is the ARN, on the emulator the name, which policies do not match."""
    if isinstance(value, list):
        return [with_secrets_arns(part, secrets) for part in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["Ref"] and value["Ref"] in secrets:
        return {"Fn::GetAtt": [value["Ref"], "Id"]}
    return {key: with_secrets_arns(part, secrets) for key, part in value.items()}


def with_api_by_path(template, url):
    """Replaces the API's address by one that functions can use.

    On the emulator, an API's own address is http on a subdomain of `localhost`, which name servers need not know and
    the service refuses.
    """
    template = copy.deepcopy(template)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            variables = resource["Properties"]["Environment"]["Variables"]
            match variables.get("API_URL"):
                case {"Fn::GetAtt": [api, "ApiEndpoint"]}:
                    variables["API_URL"] = {"Fn::Sub": f"{url}/_aws/execute-api/${{{api}}}"}
    return template


def close_topics(sns):
    """Gives each topic AWS's default policy.

    On the emulator, CloudFormation's topics let every role publish. On AWS only services meet the policy's condition,
    so a role needs a permission of its own.
    """
    for topic in sns.list_topics()["Topics"]:
        arn = topic["TopicArn"]
        policy = json.loads(sns.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"])
        [statement] = policy["Statement"]
        claim("Condition" not in statement, "the emulator's topics are closed now: remove close_topics from gaps.py")
        statement["Condition"] = {"StringEquals": {"AWS:SourceOwner": ACCOUNT}}
        sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps(policy))


def still_needed(deploy, client):
    """Fails if a change of `for_the_emulator` is no longer needed."""
    for kind in TYPES:
        try:
            deploy(f"probe-{kind.replace('::', '-')}", {"Resources": {"Resource": {"Type": kind}}})
        except Broken as error:
            known = "Unrecognized resource types" not in str(error)
        else:
            known = True
        claim(not known, f"the emulator supports {kind} now: remove it from gaps.py and add a reader to observed.py")
    api = {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Name": "probe", "ProtocolType": "HTTP"}}
    outputs = {"Url": {"Value": {"Fn::GetAtt": ["Api", "ApiEndpoint"]}}}
    address = urlsplit(deploy("probe-api", {"Resources": {"Api": api}, "Outputs": outputs}).outputs()["Url"])
    claim(
        address.scheme == "http" and address.hostname.endswith(".localhost"),
        "functions can use the address of an API now: remove with_api_by_path from gaps.py",
    )
    number = {"Fn::FindInMap": ["Numbers", "one", "Value"]}
    probe = {"Runtime": "python3.12", "Handler": "index.handler", "Role": f"arn:aws:iam::{ACCOUNT}:role/probe"}
    probe |= {"FunctionName": "probe", "Code": {"ZipFile": "handler = print"}}
    probe |= {"Environment": {"Variables": {"NUMBER": number}}}
    function = {"Type": "AWS::Lambda::Function", "Properties": probe}
    deploy("probe-function", {"Mappings": {"Numbers": {"one": {"Value": 1}}}, "Resources": {"Function": function}})
    variables = client("lambda").get_function_configuration(FunctionName="probe")["Environment"]["Variables"]
    claim(variables["NUMBER"] == 1, "the emulator makes variables texts now: remove as_text from gaps.py")
    generated = {"PasswordLength": 512, "ExcludePunctuation": True}
    secret = {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": generated}}
    outputs = {"Secret": {"Value": {"Ref": "Secret"}}}
    name = deploy("probe-secret", {"Resources": {"Secret": secret}, "Outputs": outputs}).outputs()["Secret"]
    value = client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
    claim(not name.startswith("arn:"), "the emulator returns a secret's ARN for Ref now: remove that from gaps.py")
    claim(not value.isalnum(), "the emulator supports ExcludePunctuation now: remove that from gaps.py")
