"""A stack on the emulator: created, compared with its template, and deleted."""

import base64
import hashlib
import json
import time

from botocore.exceptions import ClientError

from emulator import Broken, claim
from expected import Expected, alike
from gaps import PROPERTIES, TYPES
from observed import Reader

STACK_SECONDS = 60


class Stack:
    """One stack, by its name."""

    def __init__(self, clients, name):
        self.client = clients("cloudformation")
        self.name = name

    def create(self, template, parameters):
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        # Without spaces: a template in the request is limited to 51,200 bytes.
        body = json.dumps(template, separators=(",", ":"))
        try:
            self.client.create_stack(
                StackName=self.name, TemplateBody=body, Parameters=given, Capabilities=["CAPABILITY_IAM"]
            )
        except ClientError as error:
            raise Broken(f"CloudFormation rejects {self.name}: {error}") from error
        # A deleted stack is found only by its id.
        self.name = self.describe()["StackId"]
        self.wait()
        return self

    def describe(self):
        return self.client.describe_stacks(StackName=self.name)["Stacks"][0]

    def wait(self):
        end = time.monotonic() + STACK_SECONDS
        while self.describe()["StackStatus"].endswith("_IN_PROGRESS"):
            claim(time.monotonic() < end, f"{self.name} did not finish within {STACK_SECONDS} s")
            time.sleep(0.1)
        self.status = self.describe()["StackStatus"]

    def delete(self):
        self.client.delete_stack(StackName=self.name)
        self.wait()

    def outputs(self):
        return {output["OutputKey"]: output["OutputValue"] for output in self.describe().get("Outputs", [])}

    def reasons(self):
        """CloudFormation's reasons for failed resources."""
        events = self.client.describe_stack_events(StackName=self.name)["StackEvents"]
        failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
        return "\n".join(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}" for event in failed)

    def names(self):
        """The resources' physical names by their logical ones."""
        listed = self.client.describe_stack_resources(StackName=self.name)["StackResources"]
        return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in listed}


class Inspection:
    """A template's resources as they should be, and as they are."""

    def __init__(self, clients, template, stack, stack_name, parameters, packages):
        self.template = template
        self.packages = packages
        self.reader = Reader(clients)
        self.names = stack.names()
        self.outputs = stack.outputs()
        self.seen = {}
        self.expected = Expected(template, stack_name, parameters, self.attribute)

    def resources(self):
        """Name and type of each resource that should be there."""
        for name in self.expected.resources():
            kind = self.template["Resources"][name]["Type"]
            if kind not in TYPES:
                yield name, kind

    def observe(self, name):
        if name not in self.seen:
            claim(name in self.names, f"{name} is not in the stack")
            kind = self.template["Resources"][name]["Type"]
            self.seen[name] = self.reader.read(kind, self.names[name], self.expected.properties(name))
        return self.seen[name]

    def attribute(self, name, attribute):
        """A resource's attribute as its own API returns it; the emulator only returns the resource's name."""
        if self.template["Resources"][name]["Type"] in TYPES:
            return name
        attributes = self.observe(name).attributes if self.has_attributes(name, attribute) else {}
        if attribute is None:
            return attributes.get(None, self.names.get(name))
        claim(attribute in attributes, f"there is no reader for the attribute {attribute} of {name}")
        return attributes[attribute]

    def has_attributes(self, name, attribute):
        # The `Ref` of the others is their name. Reading them for it could recurse without end.
        return attribute is not None or self.template["Resources"][name]["Type"] == "AWS::SecretsManager::Secret"

    def differences(self):
        """Each property that differs from the template, and each one of gaps.py that does not."""
        met = set()
        for name, kind in self.resources():
            properties = self.expected.properties(name)
            if "Code" in properties:
                properties["CodeSha256"] = sha256(self.packages[properties.pop("Code")["S3Key"]])
            observed = self.observe(name).properties
            for key in properties:
                gap = (kind, key) in PROPERTIES
                met.add((kind, key))
                same = alike(observed.get(key)) == alike(properties[key])
                if same and gap:
                    yield f"{name}: the emulator supports {key} now: remove it from gaps.py"
                if not same and not gap:
                    yield f"{name}: {key} should be {shown(properties[key])}, and is {shown(observed.get(key))}"
            for key in observed.keys() - properties.keys() - DEFAULTS:
                yield f"{name}: {key} is {shown(observed[key])}, which the template does not set"
        for kind, key in PROPERTIES.keys() - met:
            yield f"no {kind} has {key} any more: remove it from gaps.py"
        for name, output in self.template["Outputs"].items():
            should = self.expected.calculate(output["Value"])
            if self.outputs.get(name) != should:
                yield f"the output {name} should be {should}, and is {self.outputs.get(name)}"

    def is_there(self, name):
        """Whether a resource can still be read."""
        kind = self.template["Resources"][name]["Type"]
        try:
            self.reader.read(kind, self.names[name], self.expected.properties(name))
        except Broken:
            return False
        return True


# Properties that readers always return, even if the template leaves them to AWS's defaults.
DEFAULTS = {"ReservedConcurrentExecutions", "PointInTimeRecoverySpecification", "TimeToLiveSpecification"}


def shown(value):
    return "missing (or not read by observed.py)" if value is None else json.dumps(value, indent=1)


def sha256(package):
    return base64.b64encode(hashlib.sha256(package).digest()).decode()
