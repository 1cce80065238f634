"""Checks of a plain CloudFormation template that rules.guard cannot express, because they compare resources of one kind.

    relations.py TEMPLATE.json

Each check yields a sentence for each mistake. relations_tests.py tests the checks.
"""

import json
import pathlib
import re
import sys

ALARM = "AWS::CloudWatch::Alarm"
COMPOSITE = "AWS::CloudWatch::CompositeAlarm"


def of_type(template, *types):
    """The properties of the resources of these types, by logical id."""
    return {
        name: resource.get("Properties", {})
        for name, resource in template["Resources"].items()
        if resource["Type"] in types
    }


def functions_have_log_groups_of_their_own(template):
    groups = of_type(template, "AWS::Logs::LogGroup")
    others = {}
    for name, properties in of_type(template, "AWS::Lambda::Function").items():
        group = properties.get("LoggingConfig", {}).get("LogGroup", {}).get("Ref")
        if group not in groups:
            yield f"{name} does not log to a log group of this template"
        elif group in others:
            yield f"{name} logs to {group}, as {others[group]} does"
        others[group] = name


def functions_have_roles_of_their_own(template):
    others = {}
    for name, properties in of_type(template, "AWS::Lambda::Function").items():
        role = json.dumps(properties.get("Role"))
        if role in others:
            yield f"{name} has the role of {others[role]}"
        others[role] = name


def every_alarm_reaches_somebody(template):
    """By its own actions, or as part of a composite alarm that reaches somebody."""
    alarms = of_type(template, ALARM, COMPOSITE)
    reach = set()
    new = {name for name, properties in alarms.items() if properties.get("AlarmActions")}
    while new:
        reach |= new
        parts = {part for name in new for part in parts_of(alarms[name], alarms)}
        new = parts - reach
    for name in sorted(alarms.keys() - reach):
        yield f"{name} has no actions and is not part of an alarm that has"


def parts_of(properties, alarms):
    """The alarms that turn a composite alarm on."""
    rule = json.dumps(properties.get("AlarmRule", ""))
    # `NOT ALARM(…)` keeps it off.
    wanted = re.sub(r"NOT\s+ALARM\([^)]*\)", "", rule)
    return {name for name in alarms if "ALARM(" in wanted and "${" + name + "}" in wanted}


CHECKS = [
    functions_have_log_groups_of_their_own,
    functions_have_roles_of_their_own,
    every_alarm_reaches_somebody,
]


def main():
    template = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    mistakes = [mistake for check in CHECKS for mistake in check(template)]
    if mistakes:
        sys.exit("\n".join([f"{sys.argv[1]}:", *mistakes]))


if __name__ == "__main__":
    main()
