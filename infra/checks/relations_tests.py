"""Examples for each check of relations.py: correct ones, and mistakes that it must find."""

import json
import unittest

import relations


def template(**resources):
    return {"Resources": resources}


def function(group="Logs", role="Role"):
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {"LoggingConfig": {"LogGroup": {"Ref": group}}, "Role": {"Fn::GetAtt": [role, "Arn"]}},
    }


def alarm(*actions):
    return {"Type": relations.ALARM, "Properties": {"AlarmActions": list(actions)} if actions else {}}


def composite(rule, *actions):
    return {"Type": relations.COMPOSITE, "Properties": {"AlarmRule": {"Fn::Sub": rule}, "AlarmActions": list(actions)}}


def reporter(role="Role", **variables):
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {"Role": {"Fn::GetAtt": [role, "Arn"]}, "Environment": {"Variables": variables}},
    }


def seconds(table="Schedules", key="ScheduleMinutes", column="Seconds"):
    return {"Fn::FindInMap": [table, {"Ref": key}, column]}


def schedule(function):
    return {
        "Type": "AWS::Scheduler::Schedule",
        "Properties": {
            "ScheduleExpression": seconds(column="Expression"),
            "Target": {"Arn": {"Fn::GetAtt": [function, "Arn"]}},
        },
    }


def may(kind, action, resource):
    document = {"Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]}
    policy = {"PolicyDocument": document}
    return {"Type": kind, "Properties": {"Policies": [policy]} if kind == ROLE else policy}


def subscription(topic, endpoint="operators@example.com", condition="HasAlarmEmail"):
    properties = {"TopicArn": {"Ref": topic}, "Protocol": "email", "Endpoint": endpoint}
    return {"Type": "AWS::SNS::Subscription", "Condition": condition, "Properties": properties}


AGENTS, ALARMS = {"Ref": "Agents"}, {"Ref": "Alarms"}
AGENTS_JSON, ALARMS_JSON = json.dumps(AGENTS), json.dumps(ALARMS)
TOPIC = {"Type": "AWS::SNS::Topic"}
ROLE, POLICY = "AWS::IAM::Role", "AWS::IAM::ManagedPolicy"
LOGS = {"Type": "AWS::Logs::LogGroup"}


class Relations(unittest.TestCase):
    def finds(self, check, template, *mistakes):
        self.assertEqual(list(check(template)), list(mistakes))

    def test_log_groups(self):
        check = relations.functions_have_log_groups_of_their_own
        self.finds(check, template(A=function("ALogs"), B=function("BLogs"), ALogs=LOGS, BLogs=LOGS))
        self.finds(check, template(A=function(), B=function(), Logs=LOGS), "B logs to Logs, as A does")
        self.finds(check, template(A=function("Gone")), "A does not log to a log group of this template")

    def test_roles(self):
        check = relations.functions_have_roles_of_their_own
        self.finds(check, template(A=function(role="ARole"), B=function(role="BRole")))
        self.finds(check, template(A=function(), B=function()), "B has the role of A")

    def test_alarms(self):
        check = relations.every_alarm_reaches_somebody
        mistake = "A has no actions and is not part of an alarm that has"
        self.finds(check, template(A=alarm("topic")))
        self.finds(check, template(A=alarm(), B=composite('ALARM("${A}")', "topic")))
        self.finds(check, template(A=alarm(), B=composite('ALARM("${A}")'), C=composite('ALARM("${B}")', "topic")))
        self.finds(check, template(A=alarm()), mistake)
        self.finds(check, template(A=alarm(), AA=alarm("topic"), B=composite('ALARM("${AA}")', "topic")), mistake)
        self.finds(check, template(A=alarm(), B=composite('TRUE AND NOT ALARM("${A}")', "topic")), mistake)
        self.finds(
            check,
            template(A=alarm(), B=composite('ALARM("${A}")')),
            mistake,
            "B has no actions and is not part of an alarm that has",
        )

    def test_who_reports(self):
        check = relations.silent_agents_are_reported_by_the_schedule_alone
        both = {"AGENTS_TOPIC_ARN": AGENTS, "API_URL": "url"}
        self.finds(check, template(A=reporter(**both), B=reporter(), S=schedule("A")))
        self.finds(check, template(A=reporter(API_URL="url")), "there is no scheduled function", "A has API_URL")
        self.finds(
            check,
            template(A=reporter(AGENTS_TOPIC_ARN=AGENTS), B=reporter(**both), S=schedule("A")),
            "A lacks API_URL",
            "B has AGENTS_TOPIC_ARN",
            "B has API_URL",
        )

    def test_schedule_seconds(self):
        check = relations.schedule_seconds_are_the_schedules
        mistake = "SCHEDULE_SECONDS of {} does not come from the entry of Schedules that has the schedule"

        def scheduled(given, **entries):
            another = reporter(SCHEDULE_SECONDS=seconds())
            resources = template(A=reporter(SCHEDULE_SECONDS=given), B=another, S=schedule("A"))
            return resources | {"Mappings": {"Schedules": entries}}

        five, hour = {"Expression": "rate(5 minutes)", "Seconds": 300}, {"Expression": "rate(1 hour)", "Seconds": 3_600}
        self.finds(check, scheduled(seconds(), five=five, sixty=hour))
        self.finds(check, scheduled(300, five=five), mistake.format("A"))
        self.finds(check, scheduled(seconds(key="FreshnessSeconds"), five=five), mistake.format("A"))
        self.finds(check, scheduled(seconds(column="OldestSeconds"), five=five), mistake.format("A"))
        without = scheduled(seconds(), five=five)
        del without["Resources"]["B"]["Properties"]["Environment"]
        self.finds(check, without, mistake.format("B"))
        self.finds(
            check,
            scheduled(seconds(), five=five | {"Seconds": 60}),
            "Schedules.five: rate(5 minutes) is not every 60 seconds",
        )

    def test_api_url(self):
        check = relations.api_url_is_the_apis_own
        stage = {"Type": "AWS::ApiGatewayV2::Stage", "Properties": {"ApiId": {"Ref": "Api"}}}

        def url(value):
            return template(A=reporter(API_URL=value), Stage=stage)

        mistake = "API_URL of A is not the address of this template's API"
        self.finds(check, url({"Fn::GetAtt": ["Api", "ApiEndpoint"]}))
        self.finds(check, url({"Fn::GetAtt": ["Another", "ApiEndpoint"]}), mistake)
        self.finds(check, url({"Ref": "GitHubApiUrl"}), mistake)

    def test_who_may_publish(self):
        check = relations.reporters_alone_may_publish
        resources = {"A": reporter(AGENTS_TOPIC_ARN=AGENTS), "B": reporter("BRole")}
        role = may(ROLE, "sns:Publish", AGENTS)
        self.finds(check, template(**resources, Role=role, BRole=may(ROLE, ["logs:PutLogEvents"], "logs")))
        self.finds(
            check,
            template(**resources, Role=may(ROLE, "logs:PutLogEvents", "logs")),
            f"Role may not publish to {AGENTS_JSON}",
        )
        self.finds(
            check,
            template(**resources, Role=may(ROLE, "sns:Publish", [AGENTS, ALARMS])),
            f"Role may use the topic {ALARMS_JSON}, which its function does not have",
        )
        for other in (may(ROLE, "sns:Publish", AGENTS), may(POLICY, ["SNS:Publish"], AGENTS)):
            self.finds(
                check,
                template(**resources, Role=role, BRole=other),
                f"BRole may use the topic {AGENTS_JSON}, which its function does not have",
            )

    def test_topics(self):
        check = relations.reports_and_alarms_have_topics_of_their_own
        function = reporter(AGENTS_TOPIC_ARN=AGENTS)
        self.finds(check, template(A=function, B=reporter(), Alarm=alarm(ALARMS), All=composite("rule", ALARMS)))
        mistake = "publishes to the topic for reports of silent agents"
        self.finds(check, template(A=function, Alarm=alarm(ALARMS, AGENTS)), f"Alarm {mistake}")
        self.finds(check, template(A=function, All=composite("rule", AGENTS)), f"All {mistake}")

    def test_emails(self):
        check = relations.every_topic_has_the_same_email
        topics = {"Alarms": TOPIC, "Agents": TOPIC, "AlarmSubscription": subscription("Alarms")}
        mistake = "Agents has another e-mail address or condition than the first topic"
        self.finds(check, template(**topics, Subscription=subscription("Agents")))
        self.finds(check, template(**topics), "Agents has no e-mail address")
        self.finds(check, template(**topics, Subscription=subscription("Agents", "other@example.com")), mistake)
        self.finds(check, template(**topics, Subscription=subscription("Agents", condition=None)), mistake)


if __name__ == "__main__":
    unittest.main()
