//! Each write of a heartbeat arrives a second time, later: the SDK sent it again without an answer, and the first copy
//! was delayed. The table is the same in the end, and every change is reported.

use std::collections::HashMap;

use serde_json::Value;
use test_world::dynamodb::Exchange;
use test_world::scheduler::{Admission, Driven, Stop};

use crate::support::app::TestApp;
use crate::support::simulation::{A_WHILE, ALPHA, Case, NEWCOMER, Run, Scenario, places, undisturbed};

/// The keys of the item that a request writes; `None` for a read.
fn written(exchange: &Exchange) -> Option<String> {
    let request = match exchange.operation.as_str() {
        "PutItem" | "UpdateItem" | "DeleteItem" => &exchange.request,
        "TransactWriteItems" => {
            let actions = exchange.request["TransactItems"].as_array().expect("actions");
            actions.iter().find_map(|action| action.get("Put")).expect("a put")
        }
        _ => return None,
    };
    let keys = if request["Item"].is_object() { &request["Item"] } else { &request["Key"] };
    let text = |name: &str| keys[name]["S"].as_str().expect("a key").to_owned();
    Some(format!("{} {}", text("pk"), text("sk")))
}

/// Delivers a copy of one executed write of each item: the one with `later` writes of that item after it.
fn arrive_again(app: &TestApp, writes: &[Exchange], later: usize) {
    let mut by_item: HashMap<String, Vec<&Exchange>> = HashMap::new();
    for write in writes {
        if let Some(item) = written(write) {
            by_item.entry(item).or_default().push(write);
        }
    }
    for writes in by_item.into_values() {
        if let Some(place) = writes.len().checked_sub(later + 1) {
            app.world.dynamodb.replay_write(writes[place]);
        }
    }
}

/// Runs alpha's heartbeat to its end. Before its request number `at`, copies of its earlier writes arrive. If `at` is
/// beyond its last request, they arrive after the answer. With `is_late` they arrive again after the next heartbeat.
async fn copies_arrive(scenario: Scenario, at: usize, later: usize, is_late: bool, end: &[Value]) {
    let app = scenario.begin().await;
    let mut run = Run::of(scenario, &app).await;
    let scheduler = &app.world.scheduler;
    app.clear_requests();
    let alpha = app.agent(ALPHA);
    let mut heartbeat = Box::pin(alpha.beat());
    let answer = match scheduler.drive(Admission::OneByOne, Some(Stop::Before(at)), &mut heartbeat).await {
        Driven::Finished(answer) => answer,
        Driven::Stopped(stopped) => {
            let mut writes = app.world.dynamodb.requests();
            writes.retain(|exchange| exchange.outcome == test_world::dynamodb::Outcome::Ok);
            arrive_again(&app, &writes, later);
            run.follow().await;
            stopped.resume();
            heartbeat.await
        }
    };
    let writes = app.world.dynamodb.requests();
    if is_late {
        arrive_again(&app, &writes, later);
    }
    run.answered(ALPHA, &answer);
    app.pass_time(A_WHILE);
    if is_late {
        run.beat(NEWCOMER).await;
        arrive_again(&app, &writes, later);
    }
    for table in run.settle(None).await {
        assert_eq!(table, end);
    }
    run.assert_all_reported();
}

/// The number of writes of the item that these requests write most often.
fn max_writes_of_an_item(order: &[String]) -> usize {
    let is_write = |request: &&String| {
        ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"]
            .iter()
            .any(|word| request.contains(word))
    };
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for request in order.iter().filter(is_write) {
        *counts.entry(request).or_default() += 1;
    }
    counts.into_values().max().unwrap_or_default()
}

#[tokio::test]
async fn late_copy_of_any_write_reverts_nothing() {
    let test = "late_copy_of_any_write_reverts_nothing";
    let scenario = Scenario::Whole;
    let (order, end) = undisturbed(scenario, Admission::OneByOne).await;
    for at in places(order.len()) {
        for later in 0..max_writes_of_an_item(&order[..at - 1]) {
            let _case = Case::new(test, Stop::Before(at));
            copies_arrive(scenario, at, later, false, &end).await;
        }
    }
    for later in 0..max_writes_of_an_item(&order) {
        copies_arrive(scenario, usize::MAX, later, true, &end).await;
    }
}
