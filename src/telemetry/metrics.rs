//! Metrics: a line in CloudWatch's embedded metric format after each invocation. CloudWatch makes metrics of it, so no
//! beat waits for a call.
//!
//! They have one dimension, the table, which tells one fleet from another: CloudWatch keeps, and bills, a metric for
//! each value of each dimension, and 500 agents would be 500. So there are no labels either, and one line holds all.
//!
//! There is no gauge. The collector remembers a gauge's value and would tell it again for an invocation that measured
//! nothing; a histogram of one value stands for it. A histogram holds 100 values between two lines, so nothing is
//! recorded for each request.

use std::io::Write as _;

use metrics::Unit;
use metrics_cloudwatch_embedded::{Builder, Collector};

/// The namespace in CloudWatch.
const NAMESPACE: &str = "AgentHeartbeat";

/// Makes an enum of metrics, each of which bears its variant's name in CloudWatch.
macro_rules! metrics_named {
    ($(#[$all:meta])* $kind:ident { $($(#[$one:meta])* $name:ident: $unit:ident,)* }) => {
        $(#[$all])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $kind {
            $($(#[$one])* $name,)*
        }

        impl $kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name in CloudWatch.
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
    /// What is counted, in all sandboxes together.
    Count {
        /// Beats answered with the status `ok`.
        BeatsOk: Count,
        /// Beats answered with the status `warning`.
        BeatsWarning: Count,
        /// Beats answered with the status `error`.
        BeatsError: Count,
        /// Beats answered from a pass that another beat ran.
        BeatsCoalesced: Count,
        /// Beats that a pass served, their own or another's, which succeeded and is fresh. None for a while means that
        /// nothing keeps the copy up to date; passes alone may be rare, where GitHub's budget asks for that.
        BeatsFresh: Count,
        /// Passes begun, those that crashed or lost the table included.
        Passes: Count,
        /// Passes that ended in the table and to which some repository did well.
        PassesSucceeded: Count,
        /// Issues that changed and that agents may be told of.
        IssuesTouched: Count,
        /// Requests to GitHub, repeated ones included.
        GitHubRequests: Count,
        /// What GitHub took for those to its GraphQL API.
        GitHubPoints: Count,
        /// Requests refused because their token is missing or wrong.
        RequestsUnauthorized: Count,
        /// Requests refused because their agent beats too often.
        RequestsTooMany: Count,
        /// Sandboxes that were started and invoked.
        ColdStarts: Count,
    }
}

metrics_named! {
    /// What is measured, a value at a time.
    Measure {
        /// How long a pass took, however it came out.
        PassDuration: Milliseconds,
        /// How long a beat took.
        BeatDuration: Milliseconds,
        /// The repositories that failed in a pass that ended.
        RepositoriesFailing: Count,
        /// For how long, when a pass ended, the repository that is furthest behind may lack changes.
        OldestRepositoryAge: Seconds,
        /// The repositories whose audit is held when a pass ends.
        AuditsHeld: Count,
        /// The smaller share that is left of the two hourly budgets of GitHub's token.
        GitHubBudgetRemaining: Percent,
    }
}

impl Count {
    /// Counts so many more. Nobody hears of it before [`Metrics::begin`].
    pub fn add(self, more: u64) {
        metrics::counter!(self.name()).increment(more);
    }
}

impl Measure {
    /// Records a value. Nobody hears of it before [`Metrics::begin`].
    pub fn record(self, value: f64) {
        metrics::histogram!(self.name()).record(value);
    }
}

/// The metrics of this process.
#[derive(Clone, Copy)]
pub struct Metrics(&'static Collector);

impl Metrics {
    /// Begins to collect, once in a process: the sandbox that it is one of has just been started.
    pub fn begin(table_name: &str) -> Self {
        let builder = Builder::new().cloudwatch_namespace(NAMESPACE);
        let collector = builder.with_dimension("TableName", table_name.to_owned()).init();
        // The format has no place for a description.
        Count::ALL.iter().for_each(|count| metrics::describe_counter!(count.name(), count.unit(), ""));
        Measure::ALL.iter().for_each(|one| metrics::describe_histogram!(one.name(), one.unit(), ""));
        Count::ColdStarts.add(1);
        Self(collector.expect("it has a namespace, and nothing else collects"))
    }

    /// Tells in one line what was counted and measured since the last one, or nothing when nothing was. The collector
    /// asks the system's clock for the line's time itself.
    pub fn tell(self, request_id: &str) {
        // Written at once, so that no line of the log comes between its parts.
        let mut line = Vec::new();
        let collected = self.0.set_property("requestId", request_id.to_owned()).flush(&mut line);
        if let Err(error) = collected.and_then(|()| std::io::stdout().write_all(&line)) {
            tracing::warn!(cause = %error, "The metrics of an invocation were not told.");
        }
    }
}
