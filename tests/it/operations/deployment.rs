//! `infra/template.yaml` compared with the code: the stack deploys exactly what the service needs.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use agent_heartbeat::app::Timing;
use agent_heartbeat::config::{Config, ConfigError};
use agent_heartbeat::telemetry::{Count, Measure};
use serde_json::{Value, json};
use test_world::template::Template;

use crate::support::app::TestApp;

fn template() -> Value {
    Template::of_the_project().document().clone()
}

fn property<'a>(template: &'a Value, resource: &str, path: &str) -> &'a Value {
    let found = template["Resources"][resource]["Properties"].pointer(path);
    found.unwrap_or_else(|| panic!("{resource} has no {path}"))
}

fn names(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// The variables of both functions.
fn variables(template: &Value) -> BTreeMap<&str, &Value> {
    let variables = &template["Globals"]["Function"]["Environment"]["Variables"];
    variables.as_object().expect("variables").iter().map(|(name, value)| (name.as_str(), value)).collect()
}

/// The parameter that sets a variable, directly or as the key of a mapping.
fn parameter_of(variable: &Value) -> &str {
    let direct = variable["Ref"].as_str();
    direct.or_else(|| variable["Fn::FindInMap"][1]["Ref"].as_str()).expect("a reference")
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The configuration from these values and the template's defaults for the others.
fn configured(template: &Value, changed: &[(&str, String)]) -> Result<Config, ConfigError> {
    let variables = variables(template);
    Config::read(|name| {
        let variable = variables.get(name)?;
        let parameter = parameter_of(variable);
        let changed =
            changed.iter().find(|(changed, _)| *changed == parameter).map(|(_, value)| value.clone());
        let value = changed.unwrap_or_else(|| match &template["Parameters"][parameter]["Default"] {
            Value::Null => "of-another-resource".to_owned(),
            default => text_of(default),
        });
        let mapping =
            variable["Fn::FindInMap"].as_array().map(|parts| [text_of(&parts[0]), text_of(&parts[2])]);
        let Some([mapping, column]) = mapping else { return Some(value) };
        Some(text_of(&template["Mappings"][mapping][value][column]))
    })
}

fn source(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
    std::fs::read_to_string(path).expect("a source")
}

/// The source files that call AWS's clients.
fn calling_sources() -> String {
    let of_folder = |name: &str| -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name);
        let files =
            std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        files.map(|file| source(&format!("{name}/{}", file.to_string_lossy()))).collect()
    };
    of_folder("store") + &of_folder("sweep") + &source("secrets.rs")
}

/// The actions of a statement of a policy.
fn actions(statement: &Value) -> BTreeSet<&str> {
    let action = &statement["Action"];
    let list = action.as_array().into_iter().flatten().filter_map(Value::as_str);
    action.as_str().into_iter().chain(list).collect()
}

#[test]
fn functions_have_exactly_the_environment_that_the_code_reads() {
    let read = RefCell::new(BTreeSet::from(["RUST_LOG".to_owned()]));
    let _ = Config::read(|name| {
        read.borrow_mut().insert(name.to_owned());
        None
    });
    let template = template();
    let mut given = variables(&template).into_keys().map(str::to_owned).collect::<BTreeSet<_>>();
    // What is for the sweep alone.
    let own = names(property(&template, "ScheduleFunction", "/Environment/Variables"));
    assert_eq!(own, BTreeSet::from(["AGENTS_TOPIC_ARN", "API_URL"]));
    assert_eq!(template["Resources"]["ApiFunction"]["Properties"]["Environment"], Value::Null);
    given.extend(own.into_iter().map(str::to_owned));
    let mut read = read.into_inner();
    // Lambda sets it, and so does cargo-lambda, with a value of its own.
    read.remove("AWS_LAMBDA_RUNTIME_API");
    assert_eq!(given, read);
    assert!(source("config.rs").contains(r#"std::env::var("RUST_LOG")"#));
}

#[test]
fn parameter_defaults_are_the_services_defaults() {
    let required = ["TABLE_NAME", "AGENT_TOKENS_SECRET_ID", "GITHUB_CREDENTIALS_SECRET_ID"]
        .map(|name| (name, "of-another-resource"));
    let plain = Config::read(|name| {
        required.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned())
    });
    let deployed = configured(&template(), &[]).expect("good defaults");
    assert_eq!(format!("{deployed:?}"), format!("{:?}", plain.expect("a good configuration")));
}

#[test]
fn parameter_bounds_are_the_services_bounds() {
    let template = template();
    let mut checked = 0;
    for parameter in variables(&template).into_values().map(parameter_of) {
        let bounds = &template["Parameters"][parameter];
        let (Some(least), Some(most)) = (bounds["MinValue"].as_u64(), bounds["MaxValue"].as_u64()) else {
            continue;
        };
        checked += 1;
        for (number, is_taken) in [(least - 1, false), (least, true), (most, true), (most + 1, false)] {
            let read = configured(&template, &[(parameter, number.to_string())]);
            assert_eq!(read.is_ok(), is_taken, "{parameter}: {number}");
        }
    }
    assert_eq!(checked, 6);
}

#[test]
fn functions_have_exactly_the_permissions_that_the_code_uses() {
    const OPERATIONS: [(&str, &str); 13] = [
        (".get_item()", "dynamodb:GetItem"),
        (".batch_get_item()", "dynamodb:BatchGetItem"),
        (".query()", "dynamodb:Query"),
        (".scan()", "dynamodb:Scan"),
        (".put_item()", "dynamodb:PutItem"),
        (".batch_write_item()", "dynamodb:BatchWriteItem"),
        (".update_item()", "dynamodb:UpdateItem"),
        (".delete_item()", "dynamodb:DeleteItem"),
        // A transaction needs the permissions of its parts; its puts need none beside `put_item`'s.
        ("ConditionCheck::builder()", "dynamodb:ConditionCheckItem"),
        (".describe_table()", "dynamodb:DescribeTable"),
        (".get_secret_value()", "secretsmanager:GetSecretValue"),
        (".put_secret_value()", "secretsmanager:PutSecretValue"),
        (".publish()", "sns:Publish"),
    ];
    let code = calling_sources();
    let made: BTreeSet<&str> =
        OPERATIONS.iter().filter(|(call, _)| code.contains(call)).map(|(_, action)| *action).collect();
    // This test does not see a call that it does not know.
    let sent = code.matches(".send()").count();
    let known: usize = OPERATIONS.iter().map(|(call, _)| code.matches(call).count()).sum::<usize>()
        - code.matches("ConditionCheck::builder()").count();
    // The queries of open issues begin with the same lines.
    let known = known + code.matches(".open_index(repository)").count() - 1;
    assert_eq!(known + code.matches(".transact_write_items()").count(), sent);

    let template = template();
    let statements = property(&template, "Work", "/PolicyDocument/Statement").as_array().expect("statements");
    let shared = |sid: &str| {
        actions(statements.iter().find(|statement| statement["Sid"] == sid).expect("a statement"))
    };
    // infra/checks/relations.py checks that no other role may publish.
    let reports = property(&template, "ScheduleRole", "/Policies/1/PolicyDocument/Statement");
    assert_eq!(reports.as_array().map(Vec::len), Some(1));
    assert_eq!(reports[0]["Resource"], json!({ "Ref": "AgentsTopic" }));
    assert_eq!(&(&shared("Table") | &shared("Secrets")) | &actions(&reports[0]), made);
    assert_eq!(shared("Indexes"), BTreeSet::from(["dynamodb:Query"]));
    for role in ["ApiRole", "ScheduleRole"] {
        assert_eq!(property(&template, role, "/ManagedPolicyArns"), &json!([{ "Ref": "Work" }]));
    }
    assert_eq!(property(&template, "ApiFunction", "/Role"), &json!({ "Fn::GetAtt": "ApiRole.Arn" }));
    assert_eq!(
        property(&template, "ScheduleFunction", "/Role"),
        &json!({ "Fn::GetAtt": "ScheduleRole.Arn" })
    );
}

#[test]
fn table_has_exactly_the_indexes_that_the_code_may_read() {
    let template = template();
    let indexes = property(&template, "Table", "/LocalSecondaryIndexes").as_array().expect("indexes");
    let defined: BTreeSet<&str> = indexes.iter().filter_map(|index| index["IndexName"].as_str()).collect();
    let keys = source("store/keys.rs");
    for index in &defined {
        assert!(keys.contains(&format!(": &str = \"{index}\";")), "{index}");
    }
    assert_eq!(calling_sources().matches(".index_name(").count(), 2, "and each names one of them");
    let statements = property(&template, "Work", "/PolicyDocument/Statement").as_array().expect("statements");
    let allowed = statements.iter().find(|statement| statement["Sid"] == "Indexes").expect("a statement");
    let allowed: BTreeSet<String> = allowed["Resource"]
        .as_array()
        .expect("resources")
        .iter()
        .map(|arn| arn["Fn::Sub"].as_str().expect("an ARN").to_owned())
        .collect();
    assert_eq!(allowed, defined.iter().map(|index| format!("${{Table.Arn}}/index/{index}")).collect());
}

#[test]
fn api_sends_every_request_to_the_function_with_the_router() {
    let template = template();
    let of_type = |kind: &str| -> Vec<&str> {
        let resources = template["Resources"].as_object().expect("resources");
        resources
            .iter()
            .filter(|(_, resource)| resource["Type"] == kind)
            .map(|(name, _)| name.as_str())
            .collect()
    };
    assert_eq!(of_type("AWS::ApiGatewayV2::Route"), ["ApiRoute"]);
    assert_eq!(property(&template, "ApiRoute", "/RouteKey"), "$default");
    assert_eq!(
        property(&template, "ApiIntegration", "/IntegrationUri"),
        &json!({ "Fn::GetAtt": "ApiFunction.Arn" })
    );
    // A stage of this name adds nothing to the path.
    assert_eq!(property(&template, "ApiStage", "/StageName"), "$default");
    assert_eq!(of_type("AWS::ApiGatewayV2::Authorizer"), [""; 0], "the service itself checks the token");
}

#[test]
fn schedule_sends_what_the_sample_event_shows() {
    let template = template();
    let input = property(&template, "Schedule", "/Target/Input").as_str().expect("a text");
    let input: Value = serde_json::from_str(input).expect("JSON");
    assert_eq!(names(&input), names(&TestApp::event("schedule.json")));
    for (_, value) in input.as_object().expect("an object") {
        let keyword = value.as_str().expect("a text");
        assert!(keyword.starts_with("<aws.scheduler.") && keyword.ends_with('>'), "{keyword}");
    }
}

#[test]
fn function_timeouts_leave_a_pass_its_whole_budget() {
    let template = template();
    let seconds =
        |resource| Duration::from_secs(property(&template, resource, "/Timeout").as_u64().expect("seconds"));
    let timing = Timing::default();
    let gateway = property(&template, "ApiIntegration", "/TimeoutInMillis").as_u64().expect("milliseconds");
    assert!(timing.pass_budget + timing.answering <= seconds("ApiFunction"));
    assert!(seconds("ApiFunction") < Duration::from_millis(gateway));
    assert!(timing.pass_budget + timing.answering <= seconds("ScheduleFunction"));
    assert!(timing.lease > timing.pass_budget);
}

#[test]
fn duration_alarms_are_at_four_fifths_of_the_timeouts() {
    let template = template();
    for (alarm, function) in
        [("ApiDurationAlarm", "ApiFunction"), ("ScheduleDurationAlarm", "ScheduleFunction")]
    {
        let timeout = property(&template, function, "/Timeout").as_u64().expect("seconds");
        assert_eq!(property(&template, alarm, "/Threshold"), &json!(timeout * 800));
        assert_eq!(property(&template, alarm, "/Dimensions/0/Value"), &json!({ "Ref": function }));
    }
}

/// The service's own metrics, by their CloudWatch names.
fn recorded() -> BTreeSet<String> {
    let counts = Count::ALL.iter().map(|one| one.name());
    counts.chain(Measure::ALL.iter().map(|one| one.name())).map(str::to_owned).collect()
}

/// The service's own metrics in alarms and on the dashboard, each on the only dimension.
fn watched(template: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let resources = template["Resources"].as_object().expect("resources");
    let own = resources.values().map(|resource| &resource["Properties"]);
    let alarmed = own.filter(|alarm| alarm["Namespace"] == "AgentHeartbeat").map(|alarm| {
        assert_eq!(alarm["Dimensions"], json!([{ "Name": "TableName", "Value": { "Ref": "Table" } }]));
        alarm["MetricName"].as_str().expect("a name").to_owned()
    });
    let body = property(template, "Dashboard", "/DashboardBody/Fn::Sub").as_str().expect("a text");
    let body: Value = serde_json::from_str(body).expect("JSON");
    let widgets = body["widgets"].as_array().expect("widgets");
    let lines = widgets.iter().filter_map(|widget| widget["properties"]["metrics"].as_array()).flatten();
    let drawn = lines.filter(|line| line[0] == "AgentHeartbeat").map(|line| {
        assert_eq!((&line[2], &line[3]), (&json!("TableName"), &json!("${Table}")));
        line[1].as_str().expect("a name").to_owned()
    });
    (alarmed.collect(), drawn.collect())
}

#[test]
fn alarms_and_plots_use_recorded_metrics_and_are_all_documented() {
    let (alarmed, drawn) = watched(&template());
    let recorded = recorded();
    assert_eq!(alarmed.difference(&recorded).count() + drawn.difference(&recorded).count(), 0);
    assert!(alarmed.len() >= 5 && drawn.len() >= 10, "{alarmed:?} {drawn:?}");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let page = std::fs::read_to_string(page).expect("a page");
    for name in &recorded {
        assert!(page.contains(&format!("`{name}`")), "docs/operations.md does not explain {name}");
    }
}
