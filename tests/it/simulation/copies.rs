//! Each write of a beat arrives a second time, later: the SDK sent it again when it heard nothing, and the first copy
//! was long on its way. The table is the same in the end, and every change is reported.

use std::collections::HashMap;

use serde_json::Value;
use test_world::dynamodb::Exchange;
use test_world::turnstile::{Admission, Led, Stop};

use crate::simulation::outcome::{A_WHILE, ALPHA, Case, NEWCOMER, Run, Scenario, places, undisturbed};
use crate::support::app::TestApp;

/// The keys of the item that a request writes; none of a read.
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

/// Delivers copies of writes that were carried out: of each item's the one that has `later` later ones.
fn arrive_again(app: &TestApp, writes: &[Exchange], later: usize) {
    let mut by_item: HashMap<String, Vec<&Exchange>> = HashMap::new();
    for write in writes {
        if let Some(item) = written(write) {
            by_item.entry(item).or_default().push(write);
        }
    }
    for writes in by_item.into_values() {
        if let Some(place) = writes.len().checked_sub(later + 1) {
            app.world.dynamodb.arrives_again(writes[place]);
        }
    }
}

/// Alpha's beat goes on to its end; when its request `at` is to be let in, copies of its earlier writes arrive. With
/// `at` beyond its last request they arrive when it has been answered, and with `is_late` after the next beats, too.
async fn copies_arrive(scenario: Scenario, at: usize, later: usize, is_late: bool, end: &[Value]) {
    let app = scenario.begin().await;
    let mut run = Run::of(scenario, &app);
    let turnstile = &app.world.turnstile;
    app.clear_requests();
    let alpha = app.agent(ALPHA);
    let mut beat = Box::pin(alpha.beat());
    let answer = match turnstile.lead(Admission::OneByOne, Some(Stop::Before(at)), &mut beat).await {
        Led::ToItsEnd(answer) => answer,
        Led::UpTo(stopped) => {
            let mut writes = app.world.dynamodb.requests();
            writes.retain(|exchange| exchange.outcome == test_world::dynamodb::Outcome::Ok);
            arrive_again(&app, &writes, later);
            stopped.let_go();
            beat.await
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
    for stands in run.settle(None).await {
        assert_eq!(stands, end);
    }
    run.assert_all_told();
}

/// How often a beat that made these requests wrote the item that it wrote most often.
fn most_writes(order: &[String]) -> usize {
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
        for later in 0..most_writes(&order[..at - 1]) {
            let _case = Case::new(test, Stop::Before(at));
            copies_arrive(scenario, at, later, false, &end).await;
        }
    }
    for later in 0..most_writes(&order) {
        copies_arrive(scenario, usize::MAX, later, true, &end).await;
    }
}
