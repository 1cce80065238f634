"""What a stack contains: each resource as its own API describes it, in CloudFormation's terms.

A reader returns the resource's properties and attributes. The attribute None is `Ref`, if that is not the name on AWS.
Readers invent nothing: what the API does not return is missing, and shows as a difference.
"""

import json
from collections import namedtuple

from botocore.exceptions import ClientError

from emulator import Broken

Observed = namedtuple("Observed", ["properties", "attributes"])


def pick(source, *names):
    """These members, as far as they exist."""
    return {name: source[name] for name in names if source.get(name) is not None}


class Reader:
    """Reads the resources of one emulated account."""

    def __init__(self, clients):
        self.clients = clients

    def read(self, kind, name, properties):
        """The resource with this physical name. `properties` identify it if the name is not enough."""
        reader = getattr(self, kind.removeprefix("AWS::").replace("::", "_"), None)
        if reader is None:
            raise Broken(f"there is no reader for {kind}: add one, or list the type in gaps.py")
        try:
            return reader(name, properties)
        except (ClientError, ValueError) as error:
            raise Broken(f"{kind} {name} is missing or not unique: {error}") from error

    def DynamoDB_Table(self, name, _):
        client = self.clients("dynamodb")
        table = client.describe_table(TableName=name)["Table"]
        ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        recovery = backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
        indexes = table.get("LocalSecondaryIndexes", [])
        return Observed(
            pick(table, "DeletionProtectionEnabled", "AttributeDefinitions", "KeySchema")
            | {
                "BillingMode": table["BillingModeSummary"]["BillingMode"],
                "LocalSecondaryIndexes": [pick(index, "IndexName", "KeySchema", "Projection") for index in indexes],
                "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": recovery},
                "TimeToLiveSpecification": pick(ttl, "AttributeName")
                | {"Enabled": ttl["TimeToLiveStatus"] in ("ENABLING", "ENABLED")},
            },
            {"Arn": table["TableArn"]},
        )

    def SecretsManager_Secret(self, name, properties):
        client = self.clients("secretsmanager")
        secret = client.describe_secret(SecretId=name)
        value = client.get_secret_value(SecretId=name)["SecretString"]
        generated = {"PasswordLength": len(value), "ExcludePunctuation": value.isascii() and value.isalnum()}
        what = {"GenerateSecretString": generated} if "GenerateSecretString" in properties else {"SecretString": value}
        return Observed(pick(secret, "Description") | what, {None: secret["ARN"], "Id": secret["ARN"]})

    def Lambda_Function(self, name, _):
        client = self.clients("lambda")
        function = client.get_function_configuration(FunctionName=name)
        concurrency = client.get_function_concurrency(FunctionName=name)
        tags = client.list_tags(Resource=function["FunctionArn"])["Tags"]
        own = [{"Key": key, "Value": value} for key, value in tags.items() if not key.startswith("aws:")]
        return Observed(
            pick(function, "Description", "Runtime", "Handler", "Architectures", "MemorySize", "Timeout")
            | pick(function, "Role", "Environment", "TracingConfig", "LoggingConfig", "CodeSha256")
            | pick(concurrency, "ReservedConcurrentExecutions")
            | ({"Tags": own} if own else {}),
            {"Arn": function["FunctionArn"]},
        )

    def Lambda_Permission(self, name, properties):
        policy = json.loads(self.clients("lambda").get_policy(FunctionName=properties["FunctionName"])["Policy"])
        [statement] = [statement for statement in policy["Statement"] if statement["Sid"] == name]
        return Observed(
            {
                "FunctionName": statement["Resource"].rpartition(":")[2],
                "Action": statement["Action"],
                "Principal": statement["Principal"]["Service"],
                "SourceArn": statement["Condition"]["ArnLike"]["AWS:SourceArn"],
            },
            {},
        )

    def Lambda_EventInvokeConfig(self, _, properties):
        config = self.clients("lambda").get_function_event_invoke_config(**pick(properties, "FunctionName", "Qualifier"))
        function, qualifier = config["FunctionArn"].split(":")[-2:]
        return Observed(
            {"FunctionName": function, "Qualifier": qualifier}
            | pick(config, "MaximumEventAgeInSeconds", "MaximumRetryAttempts"),
            {},
        )

    def Scheduler_Schedule(self, name, _):
        schedule = self.clients("scheduler").get_schedule(Name=name)
        return Observed(
            pick(schedule, "Description", "ScheduleExpression", "FlexibleTimeWindow", "Target"), {"Arn": schedule["Arn"]}
        )

    def SQS_Queue(self, url, _):
        attributes = self.clients("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        arn = attributes["QueueArn"]
        return Observed(
            pick(attributes, "SqsManagedSseEnabled", "MessageRetentionPeriod"),
            {"Arn": arn, "QueueName": arn.rpartition(":")[2]},
        )

    def IAM_ManagedPolicy(self, arn, _):
        client = self.clients("iam")
        policy = client.get_policy(PolicyArn=arn)["Policy"]
        version = client.get_policy_version(PolicyArn=arn, VersionId=policy["DefaultVersionId"])
        return Observed(
            pick(policy, "Description") | {"PolicyDocument": version["PolicyVersion"]["Document"]},
            {},
        )

    def IAM_Role(self, name, _):
        client = self.clients("iam")
        role = client.get_role(RoleName=name)["Role"]
        attached = client.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        inline = client.list_role_policies(RoleName=name)["PolicyNames"]
        documents = [client.get_role_policy(RoleName=name, PolicyName=policy) for policy in inline]
        policies = [pick(document, "PolicyName", "PolicyDocument") for document in documents]
        return Observed(
            pick(role, "Description", "AssumeRolePolicyDocument")
            | ({"ManagedPolicyArns": [policy["PolicyArn"] for policy in attached]} if attached else {})
            | ({"Policies": policies} if policies else {}),
            {"Arn": role["Arn"]},
        )

    def Logs_LogGroup(self, name, _):
        found = self.clients("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        [group] = [group for group in found if group["logGroupName"] == name]
        properties = {"LogGroupName": name, "RetentionInDays": group.get("retentionInDays")}
        return Observed(properties, {"Arn": group["arn"]})

    def ApiGatewayV2_Api(self, name, _):
        api = self.clients("apigatewayv2").get_api(ApiId=name)
        return Observed(pick(api, "Name", "Description", "ProtocolType"), {"ApiEndpoint": api["ApiEndpoint"]})

    def ApiGatewayV2_Integration(self, name, properties):
        api = properties["ApiId"]
        integration = self.clients("apigatewayv2").get_integration(ApiId=api, IntegrationId=name)
        return Observed(
            {"ApiId": api}
            | pick(integration, "IntegrationType", "IntegrationUri", "PayloadFormatVersion", "TimeoutInMillis"),
            {},
        )

    def ApiGatewayV2_Route(self, _, properties):
        api = properties["ApiId"]
        # It has only this one.
        [route] = self.clients("apigatewayv2").get_routes(ApiId=api)["Items"]
        return Observed({"ApiId": api} | pick(route, "RouteKey", "Target"), {})

    def ApiGatewayV2_Stage(self, name, properties):
        api = properties["ApiId"]
        stage = self.clients("apigatewayv2").get_stage(ApiId=api, StageName=name)
        throttling = {"DefaultRouteSettings": stage["DefaultRouteSettings"]} if stage["DefaultRouteSettings"] else {}
        return Observed(
            {"ApiId": api} | pick(stage, "StageName", "AutoDeploy", "AccessLogSettings") | throttling, {}
        )

    def CloudWatch_Alarm(self, name, properties):
        [alarm] = self.clients("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
        seen = {key: alarm[key] for key in properties if key in alarm}
        # Only those that the template names.
        actions = {key: alarm[key] for key in ("AlarmActions", "OKActions", "InsufficientDataActions") if alarm[key]}
        return Observed(seen | actions, {"Arn": alarm["AlarmArn"]})

    def CloudWatch_Dashboard(self, name, _):
        dashboard = self.clients("cloudwatch").get_dashboard(DashboardName=name)
        return Observed(pick(dashboard, "DashboardName", "DashboardBody"), {})

    def SNS_Topic(self, arn, _):
        attributes = self.clients("sns").get_topic_attributes(TopicArn=arn)["Attributes"]
        return Observed(pick(attributes, "DisplayName"), {"TopicName": arn.rpartition(":")[2]})

    def SNS_Subscription(self, arn, properties):
        listed = self.clients("sns").list_subscriptions_by_topic(TopicArn=properties["TopicArn"])["Subscriptions"]
        [subscription] = [one for one in listed if one["SubscriptionArn"] == arn]
        return Observed(pick(subscription, "TopicArn", "Protocol", "Endpoint"), {})
