//! A beat dies at each of its requests, whichever server it is for: the next ones leave the same table and tell all.

use test_world::turnstile::{Admission, Led, Stop};

use crate::simulation::outcome::{A_WHILE, ALPHA, Case, Next, Run, Scenario, places, undisturbed};

/// Lets alpha's beat die at each of its requests. What has left it before that arrives: at once when the request was
/// carried out, after the next beats when it was not.
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
        let mut run = Run::of(scenario, &app);
        let mut case = Case::new(test, stop(k));
        let turnstile = &app.world.turnstile;
        let alpha = app.agent(ALPHA);
        let mut beat = Box::pin(alpha.beat());
        let Led::UpTo(stopped) = turnstile.lead(admission, Some(stop(k)), &mut beat).await else {
            panic!("there is no such request");
        };
        case.is_of(&stopped);
        let arrived = turnstile.arrived();
        drop(beat);
        let on_its_way = match stop(k) {
            Stop::Before(_) => Some(stopped),
            Stop::After(_) => {
                stopped.let_go();
                None
            }
        };
        turnstile.stillness().await;
        app.pass_time(A_WHILE);
        turnstile.stillness().await;
        assert_eq!(turnstile.arrived(), arrived, "a beat that is dead went on asking");
        run.alpha_has_died();
        let on_its_way = match next {
            Next::Reads => on_its_way,
            Next::CannotRead => {
                run.a_pass_fails().await;
                drop(on_its_way);
                turnstile.stillness().await;
                run.alpha_has_died();
                None
            }
        };
        for stands in run.settle(on_its_way).await {
            assert_eq!(stands, end);
        }
        run.assert_all_told();
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
    dies_at_each(test, Scenario::Small, Admission::AsTheyCome, Stop::Before, Next::Reads).await;
    dies_at_each(test, Scenario::Small, Admission::AsTheyCome, Stop::After, Next::Reads).await;
}
