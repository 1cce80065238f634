//! A request with a key is disturbed at each of its own requests, and then repeated until it is answered: there is one
//! AgentRun, and no change is lost.

use test_world::dynamodb::{Fault, On};
use test_world::scheduler::{Admission, Driven, Stop, Stopped};

use crate::support::app::{Answer, TestApp};
use crate::support::checked::Checked;
use crate::support::simulation::{Case, places};

const KEY: &str = "8e03978e-40d5-43dd-bc93-6894a57f9324";
const NEWS: [&str; 3] = ["closed acme/api#1", "edited acme/api#2", "opened acme/web#1"];

/// Sends the request and, if it gets no answer, repeats it shortly after its key is free.
async fn until_answered(app: &TestApp) -> Answer {
    for _ in 0..3 {
        let reply = app.agent("alpha").with_key(KEY).knock().await;
        if reply.status == 200 {
            return Answer(reply.body);
        }
        assert_eq!(reply.status, 409, "{reply:#?}");
        app.pass_time(31);
    }
    panic!("its key was never free");
}

/// The AgentRun of the request, and all changes reported to alpha by it and by its next beat.
async fn assert_told_in_one_run(app: &TestApp, answer: &Answer) {
    let [_, run] = &app.runs("alpha")[..] else { panic!("{:#?}", app.runs("alpha")) };
    assert_eq!((&run["runId"], &run["status"]), (&answer.0["runId"], &answer.0["status"]));
    assert_eq!(run["touchedIssueUrls"], answer.0["touchedIssueUrls"]);
    let again = app.agent("alpha").with_key(KEY).beat().await;
    assert_eq!(again.0, answer.0);
    app.pass_time(31);
    let mut reported = answer.touched();
    reported.extend(app.agent("alpha").beat().await.touched());
    reported.sort();
    reported.dedup();
    assert_eq!(reported, NEWS);
    assert_eq!(app.runs("alpha").len(), 3);
}

/// The number of requests that an undisturbed heartbeat makes.
async fn requests() -> usize {
    let app = TestApp::after_a_first_beat().await;
    let alpha = app.agent("alpha").with_key(KEY);
    let mut beat = Box::pin(alpha.beat());
    let Driven::Finished(answer) = app.world.scheduler.drive(Admission::OneByOne, None, &mut beat).await
    else {
        panic!("nothing was to be stopped");
    };
    assert_eq!(answer.touched(), NEWS);
    assert_told_in_one_run(&app, &answer).await;
    app.world.scheduler.order().len()
}

/// Lets the heartbeat die at each of its own requests. What it sent before arrives at once, or `late`: after the
/// repetition.
async fn dies_at_each(test: &'static str, stop: fn(usize) -> Stop, late: bool) {
    let requests = requests().await;
    assert!(requests > 10, "{requests}");
    for k in places(requests) {
        let app = TestApp::after_a_first_beat().await;
        let mut case = Case::new(test, stop(k));
        let alpha = app.agent("alpha").with_key(KEY);
        let mut beat = Box::pin(alpha.beat());
        let driven = app.world.scheduler.drive(Admission::OneByOne, Some(stop(k)), &mut beat).await;
        let Driven::Stopped(stopped) = driven else { panic!("there is no such request") };
        case.is_of(&stopped);
        drop(beat);
        let on_its_way = if late { Some(stopped) } else { arrives(stopped) };
        app.world.scheduler.idle().await;
        let answer = until_answered(&app).await;
        drop(on_its_way);
        app.world.scheduler.idle().await;
        assert_told_in_one_run(&app, &answer).await;
    }
}

fn arrives(stopped: Stopped) -> Option<Stopped> {
    stopped.resume();
    None
}

#[tokio::test]
async fn request_that_dies_before_any_write_makes_one_run_when_repeated() {
    let test = "request_that_dies_before_any_write_makes_one_run_when_repeated";
    dies_at_each(test, Stop::Before, true).await;
}

#[tokio::test]
async fn request_that_dies_after_any_write_makes_one_run_when_repeated() {
    let test = "request_that_dies_after_any_write_makes_one_run_when_repeated";
    dies_at_each(test, Stop::After, false).await;
}

#[tokio::test]
async fn request_with_any_failed_or_lost_table_answer_makes_one_run() {
    for fault in [Fault::AccessDenied, Fault::LoseAnswer] {
        for n in 1.. {
            let mut app = TestApp::after_a_first_beat().await;
            app.world.dynamodb.clear_requests();
            app.world.dynamodb.fault(On::anything().nth(n), fault);
            let first = app.agent("alpha").with_key(KEY).beat().await;
            if app.world.dynamodb.requests().len() < usize::try_from(n).expect("few") {
                assert!(n > 10, "{n}");
                app.allows_unused_faults();
                break;
            }
            if first.codes().is_empty() {
                assert_told_in_one_run(&app, &first).await;
                continue;
            }
            let is_reported = |code: &&str| ["store_unavailable", "run_not_recorded"].contains(code);
            assert!(first.codes().iter().any(is_reported), "{fault:?} {n}: {:#}", first.0);
            let mut reported = first.touched();
            app.pass_time(31);
            reported.extend(until_answered(&app).await.touched());
            app.pass_time(31);
            reported.extend(app.agent("alpha").beat().await.touched());
            reported.sort();
            reported.dedup();
            assert_eq!(reported, NEWS, "{fault:?} {n}");
            let runs = app.runs("alpha");
            assert_eq!(runs.len(), 3, "{fault:?} {n}: {runs:#?}");
        }
    }
}

#[tokio::test]
async fn write_delivered_again_after_the_end_changes_nothing() {
    for has_key in [true, false] {
        let app = TestApp::after_a_first_beat().await;
        app.world.dynamodb.clear_requests();
        let alpha = app.agent("alpha");
        let alpha = if has_key { alpha.with_key(KEY) } else { alpha };
        assert_eq!(alpha.beat().await.touched(), NEWS);
        let (writes, items) = (app.world.dynamodb.requests(), all_but_the_pace(&app));
        for write in &writes {
            app.world.dynamodb.replay_write(write);
            assert!(all_but_the_pace(&app) == items, "{write}");
        }
    }
}

/// The whole table without the number of beats in a minute, which may be one higher.
fn all_but_the_pace(app: &TestApp) -> Vec<Checked> {
    let mut items = app.items("", "");
    items.iter_mut().for_each(|item| drop(item.as_object_mut().expect("an item").remove("beatsInMinute")));
    items
}
