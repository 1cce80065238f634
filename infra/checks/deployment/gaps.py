"""What the emulator cannot do, by name, each with what looks at it instead.

The check fails when something on these lists works after all, and when something that is not on them does
not: so the list is neither longer nor shorter than what is missing.
"""

import copy
import string

from emulator import Broken, claim

LINT = "cfn-lint knows its form"

# Resources that the emulator cannot create. They are taken out.
TYPES = {
    "AWS::CloudWatch::CompositeAlarm": f"{LINT}; the alarms that it gathers are deployed and looked at",
}

# Properties that the emulator takes and forgets.
PROPERTIES = {
    ("AWS::DynamoDB::Table", "TimeToLiveSpecification"): "rules.guard demands it; tests/it reads what is to expire",
    ("AWS::DynamoDB::Table", "PointInTimeRecoverySpecification"): "rules.guard demands it",
    ("AWS::Lambda::Function", "ReservedConcurrentExecutions"): LINT,
    ("AWS::ApiGatewayV2::Stage", "DefaultRouteSettings"): "rules.guard demands it",
}

# What is there as the template says, and which the emulator does not act on. `the_emulator_still_does_not_act`
# tries the first two; the others leave no trace to look for.
BEHAVIOUR = [
    "the API needs no permission for its function",
    "the API writes no access log",
    "the schedule needs no role, retries nothing, leaves no dead letters, and passes no time or id",
    "alarms do not fire",
    "no traces are kept",
]


def for_the_emulator(template):
    """The template as the emulator understands it. `still_needed` proves that each change is still needed."""
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
    return with_secrets_arns(without_mentions(template, taken_out), secrets)


def without_mentions(value, taken_out):
    """The dashboard shows alarms that are not there: it gets their names for their ARNs."""
    if isinstance(value, list):
        return [without_mentions(part, taken_out) for part in value]
    if isinstance(value, dict):
        return {key: without_mentions(part, taken_out) for key, part in value.items()}
    if isinstance(value, str):
        for name in taken_out:
            value = value.replace(f"${{{name}.Arn}}", name)
    return value


def with_secrets_arns(value, secrets):
    """`Ref` of a secret is its ARN, on AWS. Here it is its name, which no policy knows."""
    if isinstance(value, list):
        return [with_secrets_arns(part, secrets) for part in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["Ref"] and value["Ref"] in secrets:
        return {"Fn::GetAtt": [value["Ref"], "Id"]}
    return {key: with_secrets_arns(part, secrets) for key, part in value.items()}


def still_needed(deploy, secrets):
    """Fails when the emulator has learned what `for_the_emulator` works around."""
    for kind in TYPES:
        try:
            deploy(f"probe-{kind.replace('::', '-')}", {"Resources": {"Resource": {"Type": kind}}})
        except Broken as error:
            known = "Unrecognized resource types" not in str(error)
        else:
            known = True
        claim(not known, f"the emulator knows {kind} now: take it off gaps.py and add a reader to observed.py")
    generated = {"PasswordLength": 512, "ExcludePunctuation": True}
    secret = {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": generated}}
    outputs = {"Secret": {"Value": {"Ref": "Secret"}}}
    name = deploy("probe-secret", {"Resources": {"Secret": secret}, "Outputs": outputs}).outputs()["Secret"]
    value = secrets.get_secret_value(SecretId=name)["SecretString"]
    claim(not name.startswith("arn:"), "the emulator knows a secret's Ref now: take that out of gaps.py")
    claim(not value.isalnum(), "the emulator knows ExcludePunctuation now: take that out of gaps.py")
