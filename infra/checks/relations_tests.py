"""Examples for each check of relations.py: correct ones, and mistakes that it must find."""

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


if __name__ == "__main__":
    unittest.main()
