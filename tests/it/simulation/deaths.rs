//! A heartbeat dies at each of its requests to any server: the next heartbeats leave the same table and report every
//! change.

use test_world::scheduler::{Admission, Driven, Stop};

use crate::support::simulation::{A_WHILE, ALPHA, Case, Next, Run, Scenario, places, undisturbed};

/// Lets alpha's heartbeat die at each of its requests. Requests in flight still arrive: at once if the request was
/// executed, and after the next heartbeats if it was not.
async fn dies_at_each(
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
        let arrived = scheduler.arrived();
        drop(heartbeat);
        let in_flight = match stop(k) {
            Stop::Before(_) => Some(stopped),
            Stop::After(_) => {
                stopped.resume();
                None
            }
        };
        scheduler.idle().await;
        app.pass_time(A_WHILE);
        scheduler.idle().await;
        assert_eq!(scheduler.arrived(), arrived, "a dead heartbeat sent more requests");
        run.alpha_has_died();
        run.follow().await;
        let in_flight = match next {
            Next::Reads => in_flight,
            Next::CannotRead => {
                run.fail_a_pass().await;
                drop(in_flight);
                scheduler.idle().await;
                run.alpha_has_died();
                None
            }
        };
        for table in run.settle(in_flight).await {
            assert_eq!(table, end);
        }
        run.assert_all_reported();
    }
}

#[tokio::test]
async fn heartbeat_that_dies_before_any_request_leaves_no_trace() {
    let test = "heartbeat_that_dies_before_any_request_leaves_no_trace";
    dies_at_each(test, Scenario::Whole, Admission::OneByOne, Stop::Before, Next::Reads).await;
}

#[tokio::test]
async fn heartbeat_that_dies_after_any_request_leaves_no_trace() {
    let test = "heartbeat_that_dies_after_any_request_leaves_no_trace";
    dies_at_each(test, Scenario::Whole, Admission::OneByOne, Stop::After, Next::Reads).await;
}

#[tokio::test]
async fn late_request_of_a_dead_heartbeat_after_a_failed_pass_does_no_harm() {
    let test = "late_request_of_a_dead_heartbeat_after_a_failed_pass_does_no_harm";
    dies_at_each(test, Scenario::Whole, Admission::OneByOne, Stop::Before, Next::CannotRead).await;
}

#[tokio::test]
async fn heartbeat_that_dies_with_all_requests_in_flight_leaves_no_trace() {
    let test = "heartbeat_that_dies_with_all_requests_in_flight_leaves_no_trace";
    dies_at_each(test, Scenario::Small, Admission::Concurrent, Stop::Before, Next::Reads).await;
    dies_at_each(test, Scenario::Small, Admission::Concurrent, Stop::After, Next::Reads).await;
}
