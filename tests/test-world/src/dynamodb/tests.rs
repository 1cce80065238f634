//! What the service's tests rely on: the engine keeps DynamoDB's promises on the project's table, the meter counts as
//! AWS bills, and faults work as described.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Capacity, DynamoDb, Fault, On, Outcome, Storage};
use crate::clock::Clock;
use crate::proxy::caller;
use crate::template::Template;

const TABLE: &str = "heartbeat";

async fn dynamodb() -> DynamoDb {
    let dynamodb = DynamoDb::start(Clock::manual(Timestamp::UNIX_EPOCH), Storage::Memory).await;
    dynamodb.create_table(TABLE, Template::of_the_project()).await;
    dynamodb
}

/// Sends an operation on the table. Returns the status and the body.
async fn send(dynamodb: &DynamoDb, operation: &str, mut request: Value) -> (u16, Value) {
    if request["TransactItems"].is_null() && request["RequestItems"].is_null() {
        request["TableName"] = TABLE.into();
    }
    try_send(dynamodb, operation, &request).await.expect("an answer")
}

async fn try_send(
    dynamodb: &DynamoDb,
    operation: &str,
    request: &Value,
) -> Result<(u16, Value), impl std::fmt::Debug> {
    caller::call(dynamodb.url(), &format!("DynamoDB_20120810.{operation}"), request).await
}

/// The write units of one operation, which must succeed.
async fn write_units(dynamodb: &DynamoDb, operation: &str, request: Value) -> f64 {
    dynamodb.clear_requests();
    let (status, body) = send(dynamodb, operation, request).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body.get("ConsumedCapacity"), None, "the caller did not request it");
    dynamodb.capacity().write_units
}

fn issue(number: u32) -> Value {
    json!({ "pk": { "S": "REPO#1" }, "sk": { "S": format!("ISSUE#{number:07}") }, "title": { "S": "A title" } })
}

/// An open issue, which is in the index of open issues.
fn open_issue(number: u32, title: &str) -> Value {
    let mut item = issue(number);
    item["openNumber"] = json!({ "N": number.to_string() });
    item["title"] = json!({ "S": title });
    item["url"] = json!({ "S": "https://github.com/acme/api/issues/1" });
    item
}

/// An issue that changed under this fencing token, which is in the index of changes.
fn changed_issue(number: u32, fence: u32) -> Value {
    let mut item = issue(number);
    item["changeOrder"] = json!({ "S": format!("{fence:020}#{number:010}") });
    item
}

fn key(number: u32) -> Value {
    json!({ "pk": { "S": "REPO#1" }, "sk": { "S": format!("ISSUE#{number:07}") } })
}

async fn open_issues(dynamodb: &DynamoDb) -> Vec<Value> {
    let query = json!({
        "IndexName": "OpenIssues",
        "ConsistentRead": true,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": { ":pk": { "S": "REPO#1" } },
    });
    let (status, body) = send(dynamodb, "Query", query).await;
    assert_eq!(status, 200, "{body}");
    body["Items"].as_array().expect("a query gives items").clone()
}

#[tokio::test]
async fn open_index_is_sparse_ordered_and_consistent() {
    let dynamodb = dynamodb().await;
    assert_eq!(open_issues(&dynamodb).await, Vec::<Value>::new());
    send(&dynamodb, "PutItem", json!({ "Item": open_issue(10, "Ten") })).await;
    send(&dynamodb, "PutItem", json!({ "Item": open_issue(9, "Nine") })).await;
    send(&dynamodb, "PutItem", json!({ "Item": issue(3) })).await;
    let found = open_issues(&dynamodb).await;
    let numbers: Vec<_> = found.iter().filter_map(|item| item["sk"]["S"].as_str()).collect();
    assert_eq!(numbers, ["ISSUE#0000009", "ISSUE#0000010"], "numbers are compared as numbers");
    assert_eq!(found[0]["title"]["S"], "Nine");
    assert_eq!(found[0].get("url"), None, "the index holds only what it projects");

    let close = json!({ "Key": key(9), "UpdateExpression": "REMOVE openNumber" });
    assert_eq!(send(&dynamodb, "UpdateItem", close).await.0, 200);
    assert_eq!(open_issues(&dynamodb).await.len(), 1);
}

#[tokio::test]
async fn writes_cost_what_aws_bills_for_rows_and_indexes() {
    let dynamodb = dynamodb().await;
    let put = |item: Value| json!({ "Item": item });
    let opened = open_issue(1, "A title");
    let renamed = open_issue(1, "Another title");
    assert_eq!(write_units(&dynamodb, "PutItem", put(issue(2))).await, 1.0, "a row in no index");
    assert_eq!(
        write_units(&dynamodb, "PutItem", put(opened.clone())).await,
        2.0,
        "a row and its index entry"
    );
    assert_eq!(write_units(&dynamodb, "PutItem", put(opened)).await, 1.0, "an entry that stays is free");
    assert_eq!(write_units(&dynamodb, "PutItem", put(renamed)).await, 2.0, "one that changes is replaced");
    let delete = json!({ "Key": key(1) });
    assert_eq!(write_units(&dynamodb, "DeleteItem", delete).await, 2.0, "the row and its entry");
    assert_eq!(write_units(&dynamodb, "PutItem", put(changed_issue(3, 1))).await, 2.0);
    let moved = put(changed_issue(3, 2));
    assert_eq!(write_units(&dynamodb, "PutItem", moved).await, 3.0, "one that moves is deleted and put");

    let transaction = json!({ "TransactItems": [
        { "Put": { "TableName": TABLE, "Item": issue(4) } },
        { "Put": { "TableName": TABLE, "Item": issue(5) } },
    ] });
    assert_eq!(write_units(&dynamodb, "TransactWriteItems", transaction).await, 4.0, "twice for each row");
}

#[tokio::test]
async fn reads_cost_half_unless_they_are_consistent() {
    let dynamodb = dynamodb().await;
    send(&dynamodb, "PutItem", json!({ "Item": issue(1) })).await;
    let mut read_units = Vec::new();
    for (operation, request) in [
        ("GetItem", json!({ "Key": key(1) })),
        ("GetItem", json!({ "Key": key(1), "ConsistentRead": true })),
        (
            "BatchGetItem",
            json!({ "RequestItems": { TABLE: { "Keys": [key(1), key(2)], "ConsistentRead": true } } }),
        ),
    ] {
        dynamodb.clear_requests();
        assert_eq!(send(&dynamodb, operation, request).await.0, 200);
        read_units.push(dynamodb.capacity().read_units);
    }
    assert_eq!(read_units, [0.5, 1.0, 2.0], "what is not there costs as much as what is");
}

#[tokio::test]
async fn caller_that_requests_the_capacity_gets_it() {
    let dynamodb = dynamodb().await;
    let put = json!({ "Item": open_issue(1, "A title"), "ReturnConsumedCapacity": "INDEXES" });
    let (_, body) = send(&dynamodb, "PutItem", put).await;
    assert_eq!(body["ConsumedCapacity"]["LocalSecondaryIndexes"]["OpenIssues"]["CapacityUnits"], 1.0);
    assert_eq!(dynamodb.capacity(), Capacity { read_units: 0.0, write_units: 2.0 });
}

#[tokio::test]
async fn failed_condition_returns_the_item_and_is_billed() {
    let dynamodb = dynamodb().await;
    send(&dynamodb, "PutItem", json!({ "Item": issue(1) })).await;
    dynamodb.clear_requests();
    let condition = "attribute_not_exists(pk)";
    let again = json!({
        "Item": issue(1),
        "ConditionExpression": condition,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    });
    let (status, body) = send(&dynamodb, "PutItem", again).await;
    assert_eq!((status, &body["Item"]), (400, &issue(1)));
    let code = "ConditionalCheckFailedException".to_owned();
    assert_eq!(dynamodb.requests()[0].outcome, Outcome::Refused { status, code });
    assert_eq!(dynamodb.capacity().write_units, 1.0);

    dynamodb.clear_requests();
    let (status, body) = send(
        &dynamodb,
        "TransactWriteItems",
        json!({ "TransactItems": [
            { "Put": { "TableName": TABLE, "Item": issue(2) } },
            { "Put": { "TableName": TABLE, "Item": issue(1), "ConditionExpression": condition,
                       "ReturnValuesOnConditionCheckFailure": "ALL_OLD" } },
        ] }),
    )
    .await;
    let reasons = &body["CancellationReasons"];
    assert_eq!(
        (status, &reasons[0]["Code"], &reasons[1]["Code"]),
        (400, &json!("None"), &json!("ConditionalCheckFailed"))
    );
    assert_eq!(reasons[1]["Item"], issue(1));
    assert_eq!(dynamodb.item(TABLE, "REPO#1", "ISSUE#0000002"), None, "all or nothing");
    assert_eq!(dynamodb.capacity().write_units, 4.0);
}

#[tokio::test]
async fn cut_request_has_no_effect_and_one_with_a_lost_answer_has() {
    let dynamodb = dynamodb().await;
    dynamodb.fault(On::operation("PutItem").containing("ISSUE#0000001"), Fault::Cut);
    dynamodb.fault(On::operation("PutItem").containing("ISSUE#0000002"), Fault::LoseAnswer);
    for number in [1, 2] {
        let put = json!({ "TableName": TABLE, "Item": issue(number) });
        try_send(&dynamodb, "PutItem", &put).await.expect_err("the connection is reset");
    }
    let items = dynamodb.items(TABLE);
    let written: Vec<_> = items.iter().map(|item| &item["sk"]).collect();
    assert_eq!(written, ["ISSUE#0000002"]);
    let outcomes: Vec<_> = dynamodb.requests().into_iter().map(|exchange| exchange.outcome).collect();
    assert_eq!(outcomes, [Outcome::Cut, Outcome::AnswerLost]);
}

#[tokio::test]
async fn faults_answer_as_the_service_does() {
    let dynamodb = dynamodb().await;
    dynamodb.fault(On::anything(), Fault::Throttle);
    dynamodb.fault(On::anything(), Fault::InternalError);
    dynamodb.fault(On::anything(), Fault::Status(503));
    let mut answers = Vec::new();
    for _ in 0..4 {
        let (status, body) = send(&dynamodb, "GetItem", json!({ "Key": key(1) })).await;
        answers.push((status, body["__type"].as_str().unwrap_or_default().to_owned()));
    }
    let name = |code: &str| format!("com.amazonaws.dynamodb.v20120810#{code}");
    assert_eq!(answers[0], (400, name("ProvisionedThroughputExceededException")));
    assert_eq!(answers[1], (500, name("InternalServerError")));
    assert_eq!(answers[2..], [(503, String::new()), (200, String::new())]);
}

#[tokio::test]
async fn held_request_takes_effect_when_released_without_its_caller() {
    let dynamodb = dynamodb().await;
    let mut held = dynamodb.hold(On::operation("PutItem"));
    let mut answer_held = dynamodb.hold_answer(On::operation("PutItem"));
    let put = json!({ "TableName": TABLE, "Item": issue(1) });
    tokio::select! {
        _ = try_send(&dynamodb, "PutItem", &put) => panic!("it is held"),
        () = held.arrived() => {}
    }
    assert_eq!(dynamodb.items(TABLE), Vec::<Value>::new());
    assert_eq!(dynamodb.requests()[0].outcome, Outcome::Pending);
    held.release();
    answer_held.arrived().await;
    assert_eq!(dynamodb.items(TABLE).len(), 1);
}

#[tokio::test]
async fn items_are_plain_json_and_can_be_changed() {
    let dynamodb = dynamodb().await;
    let mut item = issue(1);
    item["labels"] = json!({ "SS": ["web", "bug"] });
    item["changeFence"] = json!({ "N": "7" });
    send(&dynamodb, "PutItem", json!({ "Item": item })).await;
    let plain = json!({ "pk": "REPO#1", "sk": "ISSUE#0000001", "title": "A title", "labels": ["bug", "web"], "changeFence": 7 });
    assert_eq!(dynamodb.items(TABLE), std::slice::from_ref(&plain));

    let mut drifted = plain.clone();
    drifted["title"] = "Another".into();
    drifted["labels"] = json!(["bug"]);
    dynamodb.put_item(TABLE, &drifted);
    assert_eq!(dynamodb.item(TABLE, "REPO#1", "ISSUE#0000001"), Some(drifted));
    let (_, body) = send(&dynamodb, "GetItem", json!({ "Key": key(1) })).await;
    assert_eq!(body["Item"]["labels"], json!({ "SS": ["bug"] }), "a set stays a set");
    dynamodb.delete_item(TABLE, "REPO#1", "ISSUE#0000001");
    assert_eq!(dynamodb.item(TABLE, "REPO#1", "ISSUE#0000001"), None);
}

#[tokio::test]
async fn items_expire_by_the_worlds_clock_and_only_by_expire() {
    let clock = Clock::manual(Timestamp::UNIX_EPOCH);
    let dynamodb = DynamoDb::start(clock.clone(), Storage::Memory).await;
    dynamodb.create_table(TABLE, Template::of_the_project()).await;
    dynamodb.put_item(TABLE, &json!({ "pk": "PASSES", "sk": "1", "expiresAt": 60 }));
    assert_eq!(dynamodb.expire(), 0);
    clock.advance(Duration::from_secs(61));
    assert_eq!((dynamodb.items(TABLE).len(), dynamodb.expire(), dynamodb.items(TABLE).len()), (1, 1, 0));
}
