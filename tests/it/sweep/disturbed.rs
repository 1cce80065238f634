//! A sweep dies at each of its requests, or stalls there while another one runs: each episode is in exactly one message
//! id, which is published at most twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agent_heartbeat::app::App;
use test_world::dynamodb::On as Written;
use test_world::notifications::On;
use test_world::scheduler::{Admission, Driven, Stop};

use super::{SCHEDULE, a_schedule_later, beat, fleet, until_a_message_may_follow, words};
use crate::support::app::{TestApp, until_held};
use crate::support::simulation::{Case, places};

/// Longer than a message is one sweep's alone.
const OWNED: u64 = 25;

/// What a sweep finds.
#[derive(Clone, Copy, Debug)]
enum Scenario {
    /// Two agents are silent, one is back, and one was there all the time.
    Whole,
    /// Everybody is silent, so the sweep checks itself.
    AllSilent,
}

impl Scenario {
    fn alive(self) -> &'static [&'static str] {
        match self {
            Self::Whole => &["back", "there"],
            Self::AllSilent => &[],
        }
    }

    fn expected(self) -> &'static [&'static str] {
        match self {
            Self::Whole => &["down alpha", "down back", "down beta", "up back"],
            Self::AllSilent => &["down alpha", "down beta"],
        }
    }

    /// The world just before the sweep.
    async fn begin(self) -> TestApp {
        match self {
            Self::Whole => {
                let app = fleet(&["alpha", "beta", "back", "there"]).await;
                a_schedule_later(&app, &["alpha", "beta", "there"]).await.expect("a good beat");
                until_a_message_may_follow(&app, &["alpha", "beta", "there"]).await;
                app.pass_time(SCHEDULE);
                beat(&app, "back").await;
                beat(&app, "there").await;
                app
            }
            Self::AllSilent => {
                let app = fleet(&["alpha", "beta"]).await;
                app.pass_time(SCHEDULE);
                app
            }
        }
    }
}

/// A schedule in another execution environment.
async fn elsewhere(app: &TestApp, environment: &Arc<App>) {
    // Whatever the disturbed pass left, this is about the sweep.
    let _ = app.schedule().in_environment(Arc::clone(environment)).beat().await;
}

/// Lets time pass until everything is reported, and checks how: each episode in one id, published fewer than `copies`
/// times again.
async fn settle(app: &TestApp, scenario: Scenario, environment: &Arc<App>, copies: usize) {
    for _ in 0..5 {
        app.pass_time(SCHEDULE);
        for agent in scenario.alive() {
            beat(app, agent).await;
        }
        elsewhere(app, environment).await;
    }
    let messages = app.messages();
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut published: BTreeMap<String, usize> = BTreeMap::new();
    for message in &messages {
        let id = message["eventId"].as_str().expect("an id").to_owned();
        *published.entry(id.clone()).or_default() += 1;
        for episode in words(message) {
            ids.entry(episode).or_default().insert(id.clone());
        }
    }
    let reported: Vec<&str> = ids.keys().map(String::as_str).collect();
    assert_eq!(reported, scenario.expected(), "{messages:#?}");
    assert!(ids.values().all(|ids| ids.len() == 1), "{ids:#?}");
    let repeated: usize = published.values().map(|times| times - 1).sum();
    assert!(repeated < copies, "{published:#?}");
    assert!(app.items("FLEET", "UNSENT").is_empty());
}

/// The requests of the undisturbed invocation up to the end of its sweep, and after.
async fn requests(scenario: Scenario) -> usize {
    let app = scenario.begin().await;
    let schedule = app.schedule();
    let mut invocation = Box::pin(schedule.beat());
    let Driven::Finished(answer) =
        app.world.scheduler.drive(Admission::OneByOne, None, &mut invocation).await
    else {
        panic!("a request was stopped");
    };
    answer.expect("a good beat");
    let order = app.world.scheduler.order();
    let is_last = |request: &String| request.contains("DeleteItem FLEET UNSENT");
    let last = order.iter().position(is_last).expect("the message is removed") + 1;
    settle(&app, scenario, &app.another_environment(), 1).await;
    last
}

async fn dies_at_each(test: &'static str, scenario: Scenario, stop: fn(usize) -> Stop) {
    for k in places(requests(scenario).await) {
        for arrives_late in [false, true] {
            let app = scenario.begin().await;
            let mut case = Case::new(test, stop(k));
            let environment = app.another_environment();
            let schedule = app.schedule();
            let mut invocation = Box::pin(schedule.beat());
            let scheduler = &app.world.scheduler;
            let driven = scheduler.drive(Admission::OneByOne, Some(stop(k)), &mut invocation).await;
            let Driven::Stopped(stopped) = driven else { panic!("there is no such request") };
            case.is_of(&stopped);
            drop(invocation);
            let in_flight = arrives_late.then_some(stopped);
            scheduler.idle().await;
            app.pass_time(SCHEDULE);
            for agent in scenario.alive() {
                beat(&app, agent).await;
            }
            elsewhere(&app, &environment).await;
            drop(in_flight);
            scheduler.idle().await;
            settle(&app, scenario, &environment, 2).await;
        }
    }
}

async fn overlaps_at_each(test: &'static str, scenario: Scenario, stop: fn(usize) -> Stop, later: u64) {
    for k in places(requests(scenario).await) {
        let app = scenario.begin().await;
        let mut case = Case::new(test, stop(k));
        let environment = app.another_environment();
        let schedule = app.schedule();
        let mut invocation = Box::pin(schedule.beat());
        let scheduler = &app.world.scheduler;
        let driven = scheduler.drive(Admission::OneByOne, Some(stop(k)), &mut invocation).await;
        let Driven::Stopped(stopped) = driven else { panic!("there is no such request") };
        case.is_of(&stopped);
        app.pass_time(later);
        elsewhere(&app, &environment).await;
        stopped.resume();
        let _ = invocation.await;
        // While a message is one sweep's alone, it is not even repeated.
        settle(&app, scenario, &environment, if later < OWNED { 1 } else { 2 }).await;
    }
}

#[tokio::test]
async fn sweep_that_dies_before_any_request_loses_and_repeats_nothing() {
    let test = "sweep_that_dies_before_any_request_loses_and_repeats_nothing";
    dies_at_each(test, Scenario::Whole, Stop::Before).await;
    dies_at_each(test, Scenario::AllSilent, Stop::Before).await;
}

#[tokio::test]
async fn sweep_that_dies_after_any_request_loses_and_repeats_nothing() {
    let test = "sweep_that_dies_after_any_request_loses_and_repeats_nothing";
    dies_at_each(test, Scenario::Whole, Stop::After).await;
    dies_at_each(test, Scenario::AllSilent, Stop::After).await;
}

#[tokio::test]
async fn sweeps_at_the_same_time_report_each_episode_once() {
    let test = "sweeps_at_the_same_time_report_each_episode_once";
    for stop in [Stop::Before, Stop::After] {
        overlaps_at_each(test, Scenario::Whole, stop, 0).await;
        overlaps_at_each(test, Scenario::AllSilent, stop, 0).await;
    }
}

#[tokio::test]
async fn sweep_that_stalls_until_another_has_taken_over_repeats_at_most_its_message() {
    let test = "sweep_that_stalls_until_another_has_taken_over_repeats_at_most_its_message";
    for stop in [Stop::Before, Stop::After] {
        overlaps_at_each(test, Scenario::Whole, stop, OWNED).await;
        overlaps_at_each(test, Scenario::AllSilent, stop, OWNED).await;
    }
}

#[tokio::test]
async fn sweeps_that_decide_at_the_same_time_send_one_message() {
    let app = fleet(&["alpha", "there"]).await;
    app.pass_time(SCHEDULE);
    beat(&app, "there").await;
    let mut held = app.world.dynamodb.hold_every(Written::operation("PutItem").containing("UNSENT"));
    let (one, other) = (app.schedule(), app.schedule().in_environment(app.another_environment()));
    let mut both = Box::pin(futures_util::future::join(one.beat(), other.beat()));
    tokio::select! {
        biased;
        _ = &mut both => panic!("nothing was held"),
        () = held.all_arrived(2) => {}
    }
    held.release();
    let _ = both.await;
    until_a_message_may_follow(&app, &["there"]).await;
    let reported: Vec<_> = app.messages().iter().map(words).collect();
    assert_eq!(reported, [["down alpha"]]);
}

#[tokio::test]
async fn late_copy_of_any_write_of_a_sweep_reports_nothing_again() {
    let app = Scenario::Whole.begin().await;
    app.clear_requests();
    app.schedule().beat().await.expect("a good beat");
    let mut writes = app.world.dynamodb.requests();
    writes.retain(|write| {
        let is_of_a_sweep =
            ["UNSENT", "WATCH", "SET pf"].iter().any(|word| write.request.to_string().contains(word));
        is_of_a_sweep && ["PutItem", "UpdateItem", "DeleteItem"].contains(&write.operation.as_str())
    });
    assert_eq!(writes.len(), 6, "the message twice, three marks and when it was sent: {writes:#?}");
    let everybody = ["alpha", "beta", "back", "there"];
    until_a_message_may_follow(&app, &everybody).await;
    let reported = || app.messages().iter().map(words).collect::<Vec<_>>();
    let before = reported();
    assert_eq!(before.last().expect("a message"), &["up alpha", "up beta"]);
    let since = app.items("FLEET", "WATCH")[0]["since"].clone();
    for write in &writes {
        app.world.dynamodb.replay_write(write);
        until_a_message_may_follow(&app, &everybody).await;
        assert_eq!(reported(), before, "{write}");
    }
    assert_eq!(app.items("FLEET", "WATCH")[0]["since"], since);
    assert!(app.items("FLEET", "UNSENT").is_empty());
}

#[tokio::test]
async fn return_is_reported_even_if_the_sweep_that_reported_the_silence_died() {
    let app = fleet(&["alpha", "there"]).await;
    app.pass_time(SCHEDULE);
    beat(&app, "there").await;
    let mut held = app.world.notifications.hold_answer(On::operation("Publish"));
    let schedule = app.schedule();
    let mut invocation = Box::pin(schedule.beat());
    assert!(until_held(&mut invocation, &mut held).await.is_none());
    drop(invocation);
    held.release();
    beat(&app, "alpha").await;
    until_a_message_may_follow(&app, &["alpha", "there"]).await;
    let reported: Vec<_> = app.messages().iter().map(words).collect();
    assert_eq!(reported, [["down alpha"], ["up alpha"]]);
}
