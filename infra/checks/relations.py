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


def scheduled_functions(template):
    """The functions that a schedule invokes, and the schedule of each."""
    schedules = of_type(template, "AWS::Scheduler::Schedule").values()
    targets = {attribute_of(schedule["Target"]["Arn"]): schedule for schedule in schedules}
    return {name: targets[name] for name in of_type(template, "AWS::Lambda::Function") if name in targets}


def attribute_of(value):
    """The resource of `Fn::GetAtt`."""
    return value.get("Fn::GetAtt", [None])[0]


def variables_of(properties):
    return properties.get("Environment", {}).get("Variables", {})


def silent_agents_are_reported_by_the_schedule_alone(template):
    """Two functions that look for silent agents would work twice, and the API's role would need the permissions."""
    scheduled = scheduled_functions(template)
    if not scheduled:
        yield "there is no scheduled function"
    for name, properties in of_type(template, "AWS::Lambda::Function").items():
        for variable in ("AGENTS_TOPIC_ARN", "API_URL"):
            given = variable in variables_of(properties)
            if given != (name in scheduled):
                yield f"{name} has {variable}" if given else f"{name} lacks {variable}"


def schedule_seconds_are_the_schedules(template):
    """Both functions say how long the schedule may pause."""
    for schedule in scheduled_functions(template).values():
        table, key, column = schedule["ScheduleExpression"]["Fn::FindInMap"]
        for name, properties in of_type(template, "AWS::Lambda::Function").items():
            if variables_of(properties).get("SCHEDULE_SECONDS") != {"Fn::FindInMap": [table, key, "Seconds"]}:
                yield f"SCHEDULE_SECONDS of {name} does not come from the entry of {table} that has the schedule"
        for minutes, entry in template["Mappings"][table].items():
            number, unit = re.fullmatch(r"rate\((\d+) (minute|hour)s?\)", entry[column]).groups()
            if int(number) * {"minute": 60, "hour": 3_600}[unit] != entry["Seconds"]:
                yield f"{table}.{minutes}: {entry[column]} is not every {entry['Seconds']} seconds"


def api_url_is_the_apis_own(template):
    apis = {stage["ApiId"]["Ref"] for stage in of_type(template, "AWS::ApiGatewayV2::Stage").values()}
    for name, properties in of_type(template, "AWS::Lambda::Function").items():
        url = variables_of(properties).get("API_URL")
        if url is not None and url not in [{"Fn::GetAtt": [api, "ApiEndpoint"]} for api in apis]:
            yield f"API_URL of {name} is not the address of this template's API"


def reporters_alone_may_publish(template):
    """Each function with a topic may publish to it, and no other role may use SNS."""
    functions = of_type(template, "AWS::Lambda::Function").values()
    wanted = {
        (attribute_of(function["Role"]), json.dumps(variables_of(function)["AGENTS_TOPIC_ARN"]))
        for function in functions
        if "AGENTS_TOPIC_ARN" in variables_of(function)
    }
    allowed = set()
    for name, properties in of_type(template, "AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::IAM::Policy").items():
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
        for statement in [statement for document in documents for statement in listed(document["Statement"])]:
            if any(action.lower().startswith("sns:") for action in listed(statement.get("Action", []))):
                allowed |= {(name, json.dumps(resource)) for resource in listed(statement["Resource"])}
    for role, topic in sorted(wanted - allowed):
        yield f"{role} may not publish to {topic}"
    for role, topic in sorted(allowed - wanted):
        yield f"{role} may use the topic {topic}, which its function does not have"


def listed(value):
    return value if isinstance(value, list) else [value]


def reports_and_alarms_have_topics_of_their_own(template):
    """Otherwise whoever may publish reports could publish what looks like an alarm."""
    functions = of_type(template, "AWS::Lambda::Function").values()
    reports = [variables_of(function).get("AGENTS_TOPIC_ARN") for function in functions]
    for name, properties in of_type(template, ALARM, COMPOSITE).items():
        for actions in ("AlarmActions", "OKActions", "InsufficientDataActions"):
            if any(action in reports for action in properties.get(actions, [])):
                yield f"{name} publishes to the topic for reports of silent agents"


def every_topic_has_the_same_email(template):
    subscriptions = of_type(template, "AWS::SNS::Subscription")
    emails = {
        one["TopicArn"]["Ref"]: (one["Endpoint"], template["Resources"][name].get("Condition"))
        for name, one in subscriptions.items()
        if one["Protocol"] == "email"
    }
    first = next(iter(emails.values()), None)
    for topic in of_type(template, "AWS::SNS::Topic"):
        if topic not in emails:
            yield f"{topic} has no e-mail address"
        elif emails[topic] != first:
            yield f"{topic} has another e-mail address or condition than the first topic"


CHECKS = [
    functions_have_log_groups_of_their_own,
    functions_have_roles_of_their_own,
    every_alarm_reaches_somebody,
    silent_agents_are_reported_by_the_schedule_alone,
    schedule_seconds_are_the_schedules,
    api_url_is_the_apis_own,
    reporters_alone_may_publish,
    reports_and_alarms_have_topics_of_their_own,
    every_topic_has_the_same_email,
]


def main():
    template = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    mistakes = [mistake for check in CHECKS for mistake in check(template)]
    if mistakes:
        sys.exit("\n".join([f"{sys.argv[1]}:", *mistakes]))


if __name__ == "__main__":
    main()
