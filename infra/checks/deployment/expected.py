"""What a stack should contain: the template's properties, with intrinsic functions evaluated.

The emulator evaluates them too; doing it again checks the emulator. Resource names come from the emulator, properties
from the API of each resource (`observed.py`).
"""

import re

from emulator import ACCOUNT, REGION, Broken


class Expected:
    """A template's resources in one stack."""

    def __init__(self, template, stack_name, parameters, attributes):
        """`attributes(logical_id, name)` returns a resource's attribute, or its `Ref` if there is no name."""
        self.template = template
        self.attributes = attributes
        self.values = {name: given["Default"] for name, given in template["Parameters"].items() if "Default" in given}
        self.values.update(parameters)
        self.values |= {
            "AWS::StackName": stack_name,
            "AWS::Region": REGION,
            "AWS::AccountId": ACCOUNT,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
        }

    def resources(self):
        """The logical names of the resources whose condition holds."""
        conditions = self.template.get("Conditions", {})
        for name, resource in self.template["Resources"].items():
            if "Condition" not in resource or self.calculate(conditions[resource["Condition"]]):
                yield name

    def properties(self, name):
        return self.calculate(self.template["Resources"][name].get("Properties", {}))

    def calculate(self, value):
        if isinstance(value, list):
            return [self.calculate(part) for part in value if not self.is_no_value(part)]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(function, argument)] = value.items()
            if function == "Ref":
                return self.reference(argument)
            if function.startswith("Fn::"):
                return self.function(function.removeprefix("Fn::"), argument)
        return {key: self.calculate(part) for key, part in value.items() if not self.is_no_value(part)}

    def is_no_value(self, value):
        if isinstance(value, dict) and list(value) == ["Fn::If"]:
            value = self.chosen(value["Fn::If"])
        return value == {"Ref": "AWS::NoValue"}

    def chosen(self, argument):
        condition, yes, no = argument
        return yes if self.calculate(self.template["Conditions"][condition]) else no

    def reference(self, name):
        return self.values[name] if name in self.values else self.attributes(name, None)

    def function(self, name, argument):
        match name, argument:
            case "GetAtt", str():
                return self.attributes(*argument.split(".", 1))
            case "GetAtt", [resource, attribute]:
                return self.attributes(resource, attribute)
            case "Sub", str():
                return re.sub(r"\$\{([^}!]+)\}", lambda found: str(self.substitute(found[1])), argument)
            case "FindInMap", _:
                table, first, second = (self.calculate(part) for part in argument)
                return self.template["Mappings"][table][str(first)][second]
            case "If", _:
                return self.calculate(self.chosen(argument))
            case "Equals", [left, right]:
                return self.calculate(left) == self.calculate(right)
            case "Not", [condition]:
                return not self.calculate(condition)
            case "Join", [separator, parts]:
                return separator.join(self.calculate(parts))
        raise Broken(f"the template uses {name}, which this check does not evaluate yet")

    def substitute(self, name):
        resource, _, attribute = name.partition(".")
        return self.attributes(resource, attribute) if attribute else self.reference(name)


def alike(value):
    """A value in one form: CloudFormation treats `1`, `1.0` and "1" alike."""
    match value:
        case bool():
            return str(value).lower()
        case float() if value.is_integer():
            return str(int(value))
        case int() | float():
            return str(value)
        case list():
            return [alike(part) for part in value]
        case dict():
            return {key: alike(part) for key, part in value.items()}
    return value
