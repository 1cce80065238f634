//! A heartbeat stalls at each of its requests until its lease has expired, another heartbeat runs a whole pass, and
//! then the first one resumes: both leave the same table and report every change.

use test_world::scheduler::{Admission, Driven, Stop};

use crate::support::simulation::{
    A_WHILE, ALPHA, BETA, Case, NEWCOMER, Next, Run, Scenario, places, undisturbed,
};

async fn stalls_at_each(
    test: &'static str,
    scenario: Scenario,
    admission: Admission,
    stop: fn(usize) -> Stop,
    next: Next,
) {
    let (order, end) = undisturbed(scenario, admission).await;
    for k in places(order.len()) {
        let app = scenario.begin().await;
        let mut run = Run::of(scenario, &app).await;
        let mut case = Case::new(test, stop(k));
        let scheduler = &app.world.scheduler;
        let alpha = app.agent(ALPHA);
        let mut heartbeat = Box::pin(alpha.beat());
        let Driven::Stopped(stopped) = scheduler.drive(admission, Some(stop(k)), &mut heartbeat).await else {
            panic!("there is no such request");
        };
        case.is_of(&stopped);
        run.follow().await;
        app.pass_time(A_WHILE);
        match next {
            Next::Reads => {
                run.beat(NEWCOMER).await;
                run.beat(BETA).await;
            }
            Next::CannotRead => run.fail_a_pass().await,
        }
        let ended = app.state()["ended"].clone();
        stopped.resume();
        let Driven::Finished(late) = scheduler.drive(admission, None, &mut heartbeat).await else {
            panic!("a request was stopped again");
        };
        assert_eq!(app.state()["ended"], ended);
        run.answered(ALPHA, &late);
        for table in run.settle(None).await {
            assert_eq!(table, end);
        }
        run.assert_all_reported();
    }
}

#[tokio::test]
async fn heartbeat_that_stalls_before_any_request_does_no_harm() {
    let test = "heartbeat_that_stalls_before_any_request_does_no_harm";
    stalls_at_each(test, Scenario::Whole, Admission::OneByOne, Stop::Before, Next::Reads).await;
}

#[tokio::test]
async fn heartbeat_that_stalls_after_any_request_does_no_harm() {
    let test = "heartbeat_that_stalls_after_any_request_does_no_harm";
    stalls_at_each(test, Scenario::Whole, Admission::OneByOne, Stop::After, Next::Reads).await;
}

#[tokio::test]
async fn heartbeat_that_stalls_through_a_failed_pass_does_no_harm() {
    let test = "heartbeat_that_stalls_through_a_failed_pass_does_no_harm";
    stalls_at_each(test, Scenario::Whole, Admission::OneByOne, Stop::Before, Next::CannotRead).await;
}

#[tokio::test]
async fn heartbeat_that_stalls_through_repeated_failed_passes_does_no_harm() {
    let test = "heartbeat_that_stalls_through_repeated_failed_passes_does_no_harm";
    stalls_at_each(test, Scenario::AfterTrouble, Admission::OneByOne, Stop::Before, Next::CannotRead).await;
}

#[tokio::test]
async fn heartbeat_that_stalls_with_all_requests_in_flight_does_no_harm() {
    let test = "heartbeat_that_stalls_with_all_requests_in_flight_does_no_harm";
    stalls_at_each(test, Scenario::Small, Admission::Concurrent, Stop::Before, Next::Reads).await;
    stalls_at_each(test, Scenario::Small, Admission::Concurrent, Stop::After, Next::Reads).await;
}
