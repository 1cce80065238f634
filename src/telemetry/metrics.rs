//! Metrics: one line in CloudWatch's embedded metric format after each invocation. CloudWatch extracts the metrics from
//! the log, so no heartbeat waits for a call.
//!
//! The only dimension is the table, which distinguishes fleets: CloudWatch stores and bills one metric per value of
//! each dimension, so a dimension for agents would cost 500 metrics for 500 agents. There are no labels either, so one
//! line holds all metrics.
//!
//! There are no gauges. The collector keeps a gauge's value and would emit it again for an invocation that measured
//! nothing, so a histogram with one value takes its place. A histogram holds 100 values between two lines, so nothing
//! is recorded per request.

use std::io::Write as _;

use metrics::Unit;
use metrics_cloudwatch_embedded::{Builder, Collector};

/// The namespace in CloudWatch.
const NAMESPACE: &str = "AgentHeartbeat";

/// Defines an enum of metrics. The name of a variant is the metric's name in CloudWatch.
macro_rules! metrics_named {
    ($(#[$all:meta])* $kind:ident { $($(#[$one:meta])* $name:ident: $unit:ident,)* }) => {
        $(#[$all])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $kind {
            $($(#[$one])* $name,)*
        }

        impl $kind {
            /// All metrics of this kind.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The metric's name in CloudWatch.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            fn unit(self) -> Unit {
                match self { $(Self::$name => Unit::$unit,)* }
            }
        }
    };
}

metrics_named! {
    /// Counters, summed over all execution environments.
    Count {
        /// Heartbeats answered with the status `ok`.
        BeatsOk: Count,
        /// Heartbeats answered with the status `warning`.
        BeatsWarning: Count,
        /// Heartbeats answered with the status `error`.
        BeatsError: Count,
        /// Heartbeats answered from a pass that another heartbeat ran.
        BeatsCoalesced: Count,
        /// Heartbeats served by a fresh pass that succeeded, their own or another's. If there are none for a while, the
        /// cached issues are out of date. `Passes` cannot show that: passes may be rare to save GitHub's budget.
        BeatsFresh: Count,
        /// Passes started, including those that panicked or could not use the table.
        Passes: Count,
        /// Passes that were stored as finished and synced at least one repository.
        PassesSucceeded: Count,
        /// Issue changes that agents can receive.
        IssuesTouched: Count,
        /// Requests to GitHub, including retries.
        GitHubRequests: Count,
        /// Points that GitHub charged for GraphQL requests.
        GitHubPoints: Count,
        /// Requests refused because their token is missing or invalid.
        RequestsUnauthorized: Count,
        /// Requests refused because their agent exceeds its rate limit.
        RequestsTooMany: Count,
        /// Sweeps in which nobody was heard and the service's own API, or the secret with the agents' tokens, could not
        /// be reached.
        ApiUnreachable: Count,
        /// Sweeps that failed, so that a message about silent agents may be late.
        AgentsMessageFailed: Count,
        /// Execution environments that were started and invoked.
        ColdStarts: Count,
    }
}

metrics_named! {
    /// Measured values.
    Measure {
        /// The duration of a pass, whatever its result.
        PassDuration: Milliseconds,
        /// The duration of a heartbeat.
        BeatDuration: Milliseconds,
        /// Repositories that failed in a finished pass.
        RepositoriesFailing: Count,
        /// At the end of a pass, how far the most outdated repository may be behind GitHub.
        OldestRepositoryAge: Seconds,
        /// Repositories whose audit is on hold at the end of a pass.
        AuditsHeld: Count,
        /// In a sweep, the agents whose next heartbeat is not due yet.
        AgentsUp: Count,
        /// In a sweep, the agents whose next heartbeat is due and within its grace.
        AgentsLate: Count,
        /// In a sweep, the agents whose next heartbeat has not come in time.
        AgentsDown: Count,
        /// The remaining share of the smaller of GitHub's two hourly budgets.
        GitHubBudgetRemaining: Percent,
    }
}

impl Count {
    /// Adds to the counter. Has no effect before [`Metrics::begin`].
    pub fn add(self, more: u64) {
        metrics::counter!(self.name()).increment(more);
    }
}

impl Measure {
    /// Records a value. Has no effect before [`Metrics::begin`].
    pub fn record(self, value: f64) {
        metrics::histogram!(self.name()).record(value);
    }
}

/// The metrics of this process.
#[derive(Clone, Copy)]
pub struct Metrics(&'static Collector);

impl Metrics {
    /// Starts collecting. Call it once per process: it counts a cold start.
    pub fn begin(table_name: &str) -> Self {
        let builder = Builder::new().cloudwatch_namespace(NAMESPACE);
        let collector = builder.with_dimension("TableName", table_name.to_owned()).init();
        // The format has no field for a description.
        Count::ALL.iter().for_each(|count| metrics::describe_counter!(count.name(), count.unit(), ""));
        Measure::ALL.iter().for_each(|one| metrics::describe_histogram!(one.name(), one.unit(), ""));
        Count::ColdStarts.add(1);
        Self(collector.expect("the namespace is set, and there is no other collector"))
    }

    /// Writes one line with everything counted and measured since the previous line, or nothing if there is nothing.
    /// The collector takes the line's time from the system clock.
    pub fn emit(self, request_id: &str) {
        // Written in one call, so that no log line can split it.
        let mut line = Vec::new();
        let collected = self.0.set_property("requestId", request_id.to_owned()).flush(&mut line);
        if let Err(error) = collected.and_then(|()| std::io::stdout().write_all(&line)) {
            tracing::warn!(cause = %error, "Failed to write the metrics of an invocation.");
        }
    }
}
