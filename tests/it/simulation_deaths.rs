//! A beat dies at each of its requests, whichever server it is for: the next ones leave the same table and tell all.

use local_stack::turnstile::{Admission, Led, Stop};

use crate::simulation::{A_WHILE, ALPHA, Case, Run, Scenario, places, undisturbed};

/// Lets alpha's beat die at each of its requests. What has left it before that arrives: at once when the request was
/// carried out, after the next beats when it was not.
async fn dies_at_each(test: &'static str, scenario: Scenario, admission: Admission, stop: fn(usize) -> Stop) {
    let (order, end) = undisturbed(scenario, admission).await;
    for k in places(order.len()) {
        let app = scenario.begin().await;
        let mut run = Run::of(scenario, &app);
        let mut case = Case { test, stop: stop(k), what: "nothing".to_owned() };
        let turnstile = &app.world.turnstile;
        let alpha = app.agent(ALPHA);
        let mut beat = Box::pin(alpha.beat());
        let Led::UpTo(stopped) = turnstile.lead(admission, Some(case.stop), &mut beat).await else {
            panic!("there is no such request");
        };
        case.what = stopped.what().to_owned();
        let arrived = turnstile.arrived();
        drop(beat);
        let on_its_way = match case.stop {
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
        for (once, end) in run.settle(on_its_way).await.iter().flatten().zip(end.iter().cycle()) {
            assert_eq!(once, end);
        }
        run.assert_all_told();
    }
}

#[tokio::test]
async fn a_beat_that_dies_before_any_request_is_carried_out_leaves_no_trace() {
    let test = "a_beat_that_dies_before_any_request_is_carried_out_leaves_no_trace";
    dies_at_each(test, Scenario::Whole, Admission::OneByOne, Stop::Before).await;
}

#[tokio::test]
async fn a_beat_that_dies_when_any_request_has_been_carried_out_leaves_no_trace() {
    let test = "a_beat_that_dies_when_any_request_has_been_carried_out_leaves_no_trace";
    dies_at_each(test, Scenario::Whole, Admission::OneByOne, Stop::After).await;
}
