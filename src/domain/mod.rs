//! The service's domain: its values and rules. No I/O and no client crates.

mod active_issues;
mod agent;
mod agent_tokens;
mod beat_rate;
mod beats_per_hour;
mod change_counts;
mod declaration;
mod delivery_cursor;
mod digest;
mod heartbeat_body;
mod hold;
mod idempotency;
mod instants;
mod issue;
mod issue_address;
mod known_names;
mod limits;
mod page_length;
mod pass_hours;
mod pasted;
mod presence;
mod probing;
mod problem;
mod problem_words;
mod read_rates;
mod repository;
mod request_rate;
mod run;
mod schedule_pause;
mod session;
mod text;
mod tracking;
mod transition;
mod usage;
mod verdict;

pub use active_issues::{ActiveIssue, ActiveIssues, MAX_ACTIVE_ISSUES};
pub use agent::{AgentName, AgentPattern, InvalidAgentName};
pub use agent_tokens::{AgentToken, AgentTokens, Right};
pub use beat_rate::{BeatRate, Minute, RateLimitExceeded};
pub use beats_per_hour::{BeatsPerHour, HeartbeatsPerHour};
pub use change_counts::{ChangeCounts, CountedAfter, MAX_COUNTED, Recount};
pub use declaration::{Declaration, JudgedIssues, Promise, Watch, agent_kept_for};
pub use delivery_cursor::{
    ChangePoint, DeliveryCursor, Sweep, Within, fence_of_order, order_as_text, point_as_text,
};
pub use digest::Fingerprint;
pub use heartbeat_body::{HeartbeatBody, Member, WrongMember};
pub use hold::{Hold, Holds, InvalidHold};
pub use idempotency::{
    Attempt, IdempotencyKey, InvalidIdempotencyKey, KeptRequest, KeyDecision, KeyRefused, KeyedRequest,
    kept_until,
};
pub use instants::{iso_millis, millis, optional_millis};
pub use issue::{
    CachedIssue, Change, ChangeMarker, Gone, Issue, IssueNumber, IssueState, Observation, PullRequest,
    Removal, WorkStatus, has_label_in, labels_digest,
};
pub use issue_address::IssueAddress;
pub use known_names::KnownNames;
pub use limits::{AccountLimits, Api, Budget};
pub use page_length::{PageLength, ShortPages};
pub use pass_hours::{PassHour, PassHours};
pub use pasted::{looks_like, only_value, unwrapped};
pub use presence::{Judged, Listening, Presence, Steady, Work};
pub use probing::{Backoff, ProbeMemory, QueryLimit};
pub use problem::{Outcome, Phase, Problem, ProblemCode, Severity};
pub use read_rates::ReadRates;
pub use repository::{InvalidRepositoryName, RepositoryId, RepositoryName};
pub use request_rate::MAX_REQUESTS_PER_MINUTE;
pub use run::{AgentRun, IssueChange, RunType, Status};
pub use schedule_pause::max_schedule_pause;
pub use session::Session;
pub use text::{counted, seconds_until};
pub use tracking::{
    AuditOnHold, AuditProgress, Backfill, ListingStart, MAX_LISTING_DELAY, MAX_UNREAD, PageRead,
    RepositoryFailure, Settling, TrackedRepository, UnreadIssue, Untracked, second_before,
};
pub use transition::{AgentChange, ReportMark, Transition};
pub use usage::{RequestCounts, Usage};
pub use verdict::{IssueVerdict, Standing, Verdict, VerdictReason};
