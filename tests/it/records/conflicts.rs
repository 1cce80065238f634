//! Writes that conflict with a transaction on the same item: DynamoDB refuses them, and they are sent again.

use test_world::dynamodb::{Fault, On, Outcome};

use crate::support::app::{TestApp, open_spread};
use crate::support::audits::{audit, delete, settled, tracking};

const API: &str = "acme/api";

/// How many requests were refused for a conflict since the last clearing.
fn conflicts(app: &TestApp) -> usize {
    let is_conflict = |outcome: &Outcome| {
        matches!(outcome, Outcome::Refused { code, .. }
        if code == "TransactionCanceledException" || code == "TransactionConflictException")
    };
    app.world.dynamodb.requests().iter().filter(|exchange| is_conflict(&exchange.outcome)).count()
}

fn transactions() -> On {
    On::operation("TransactWriteItems")
}

#[tokio::test]
async fn audits_of_several_repositories_do_not_conflict() {
    let names = ["acme/r1", "acme/r2", "acme/r3", "acme/r4", "acme/r5"];
    let app = tracking(&names).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| names.iter().for_each(|name| open_spread(github, name, 20, first)));
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| names.iter().for_each(|name| delete(github, name, 1..=20)));
    let answer = audit(&app).await;
    assert_eq!((answer.status(), answer.0["touchedCount"].as_u64()), ("ok", Some(100)), "{:#}", answer.0);
    assert_eq!(conflicts(&app), 0);
}

#[tokio::test]
async fn audit_write_that_conflicts_is_sent_again() {
    for times in [1, 6, 12] {
        let app = settled(3).await;
        app.world.github.arrange(|github| github.delete_issue(API, 1));
        app.world.dynamodb.fault(transactions(), Fault::Conflict.times(times));
        let answer = audit(&app).await;
        assert_eq!((answer.status(), answer.touched()), ("ok", vec!["deleted acme/api#1".to_owned()]));
        assert_eq!(conflicts(&app) as u64, times);
        assert_eq!(app.open_rows(API), [2, 3]);
    }
}

#[tokio::test]
async fn audit_write_that_always_conflicts_is_deferred_to_the_next_pass() {
    let app = settled(3).await;
    app.world.github.arrange(|github| delete(github, API, 1..=2));
    app.world.dynamodb.fault(transactions(), Fault::Conflict.forever());
    let answer = audit(&app).await;
    assert_eq!((answer.status(), answer.codes()), ("ok", vec![]), "{:#}", answer.0);
    assert_eq!((answer.touched(), app.open_rows(API)), (vec![], vec![1, 2, 3]));
    app.world.dynamodb.heal();
    app.outlive_freshness();
    let next = app.agent("alpha").beat().await;
    assert_eq!(next.touched(), ["deleted acme/api#1", "deleted acme/api#2"]);
    assert_eq!(app.checkpoints(API)["openCount"], 1);
}

#[tokio::test]
async fn write_of_any_kind_that_conflicts_is_sent_again() {
    for operation in ["PutItem", "UpdateItem"] {
        for n in 1.. {
            let mut app = settled(3).await;
            app.outlive_freshness();
            app.world.github.arrange(|github| github.close_issue(API, 1));
            app.clear_requests();
            app.world.dynamodb.fault(On::operation(operation).nth(n), Fault::Conflict.times(2));
            let answer = app.agent("alpha").beat().await;
            assert_eq!((answer.status(), answer.codes()), ("ok", vec![]), "{operation} {n}: {:#}", answer.0);
            assert_eq!(answer.touched(), ["closed acme/api#1"], "{operation} {n}");
            if conflicts(&app) == 0 {
                assert!(n > 2, "{operation} {n}");
                app.allows_unused_faults();
                break;
            }
        }
    }
}
