//! The tag of a page of agents that follows from the fleet's state. A client that polls such a page pays for the state and
//! the item `WATCH`, and for no agent.
//!
//! An agent's item is written by its heartbeats, and nearly all of them leave a trace in the state. A heartbeat reads the
//! state first. Then it either takes the lease, which raises the fencing token, or it joins a pass that the state showed as
//! fresh or running. Heartbeats can join until the last pass is no longer fresh, if every lease has ended with a result
//! ([`FleetState::joinable_until`]). Each is over within the time that its invocation may take. So in a *quiet* moment,
//! [`MARGIN`] later, no item changes any more without a change of the state. Whoever reads the state in such a moment, and
//! then the agents consistently, reads all that this state will ever stand for, or something newer. If it is newer, the
//! state has changed meanwhile and is never the same again, because fencing tokens only grow, so the tag is never found.
//!
//! The rest of a page follows from the holds, from what `WATCH` says, from the configuration, the tokens and the request,
//! which are in the digest, and from the time: the tag has the instants between which no agent is judged differently.
//!
//! What leaves no trace is in the list after the next pass: a heartbeat that could not take the lease because DynamoDB
//! refused that write, and could write its agent's item; an item that DynamoDB removes because it has expired; a restore
//! from a backup; and a heartbeat in an execution environment whose clock is late by half of the margin. A tag that a
//! client makes up harms that client alone.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::{Fingerprint, Steady};
use crate::store::FleetState;

/// How long after the last heartbeat could join a pass no such heartbeat writes any more. `infra/template.yaml` ends an
/// invocation of the API after 29 s; invocations of the schedule, which may be longer, write no agent's item. The other
/// half is for clocks that differ, and for writes that arrive late.
const MARGIN: Duration = Duration::from_secs(60);

/// What a page in a quiet moment follows from, except the agents' items and the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QuietPage(Fingerprint);

impl QuietPage {
    /// The page; `rest` is everything else that it follows from. `None` if the moment is not quiet. The state must
    /// be read before the agents.
    pub(super) fn of(state: &FleetState, now: Timestamp, rest: &str) -> Option<Self> {
        let quiet_from = state.joinable_until()?.checked_add(MARGIN).ok()?;
        if now < quiet_from {
            return None;
        }
        let FleetState { fence, generation, holds, ended, .. } = state;
        // A pass's result stays as it is.
        let pass = ended.as_ref().map(|ended| ended.pass_id);
        let digest = Fingerprint::of(&format!("{fence} {generation:?} {pass:?} {holds:?} {rest}"));
        Some(Self(digest))
    }

    /// The tag of the page if no agent is judged differently within these instants.
    pub(super) fn tag(&self, steady: Steady) -> String {
        let Steady { since, until } = steady;
        format!("\"{}.{}.{}\"", self.0.as_str(), since.as_millisecond(), until.as_millisecond())
    }

    /// The one of these tags with which the client has the current page.
    pub(super) fn current_of<'t>(&self, tags: &[&'t str], now: Timestamp) -> Option<&'t str> {
        let now = now.as_millisecond();
        let is_current = |tag: &&str| {
            let text = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            let mut parts = text.unwrap_or_default().split('.');
            let digest = parts.next();
            let (since, until) = (parts.next().and_then(instant), parts.next().and_then(instant));
            digest == Some(self.0.as_str())
                && since.is_some_and(|since| since <= now)
                && until.is_some_and(|until| now < until)
                && parts.next().is_none()
        };
        tags.iter().copied().find(is_current)
    }
}

fn instant(text: &str) -> Option<i64> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_is_current_for_its_page_within_its_instants() {
        let at = |millis| Timestamp::from_millisecond(millis).expect("a time");
        let page = QuietPage(Fingerprint::of("a page"));
        let tag = page.tag(Steady { since: at(5), until: at(9) });
        let is_current =
            |page: &QuietPage, tag: &str, now| page.current_of(&["\"a\"", tag], at(now)).is_some();
        for (now, expected) in [(4, false), (5, true), (8, true), (9, false)] {
            assert_eq!(is_current(&page, &tag, now), expected, "{now}");
        }
        assert!(!is_current(&QuietPage(Fingerprint::of("another")), &tag, 5));
        let digest = page.0.as_str();
        for forged in [
            "",
            "\"",
            "*",
            &format!("\"{digest}\""),
            &format!("\"{digest}.0\""),
            &format!("\"{digest}.0.x\""),
        ] {
            assert!(!is_current(&page, forged, 5), "{forged}");
        }
        assert!(is_current(&page, &page.tag(Steady::ALWAYS), 0));
    }

    #[test]
    fn margin_is_longer_than_the_functions_timeout() {
        let template = include_str!("../../infra/template.yaml");
        let api = template.split("\n  ApiFunction:").nth(1).expect("the function");
        let timeout = api.split("Timeout: ").nth(1).and_then(|rest| rest.lines().next()).expect("a timeout");
        let timeout = Duration::from_secs(timeout.parse().expect("seconds"));
        assert!(MARGIN >= timeout * 2, "{timeout:?}");
    }
}
