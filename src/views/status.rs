//! The fleet's status: whether the cached issues can be relied on and, if not, why.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::domain::{Hold, PassHour, Problem, Status, max_schedule_pause, millis, optional_millis};
use crate::store::{FleetState, LastPass};

use super::read_error::ReadError;

/// The fleet's status.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetStatus {
    /// The version of the service.
    pub version: &'static str,
    /// GitHub's web site (`GITHUB_SERVER_URL`), without a slash at the end. The addresses of issues begin with it.
    pub github_server_url: String,
    /// Everything that GitHub showed until then is in the table, for every tracked repository; null before that was so
    /// for the first time.
    #[serde(with = "optional_millis")]
    #[schema(required)]
    pub fresh_at: Option<Timestamp>,
    /// From when on the copy counts as stale, if no pass ends before; null before the first pass. It is the end of the
    /// last pass, two schedules (`SCHEDULE_SECONDS`) and three minutes.
    #[serde(with = "optional_millis")]
    #[schema(required)]
    pub stale_at: Option<Timestamp>,
    /// When the lease of the running pass expires; null if no pass runs.
    #[serde(with = "optional_millis")]
    #[schema(required)]
    pub pass_running_until: Option<Timestamp>,
    /// The number of tracked repositories in `REPOSITORIES`.
    pub repositories: usize,
    /// The last pass that ended; null before the first one.
    #[schema(required)]
    pub last_pass: Option<LastPassView>,
    /// The hours in which a pass ended, the oldest first: those of the 24 hours up to the last pass's hour.
    #[schema(max_items = 24)]
    pub hours: Vec<PassHourView>,
    /// The operator's holds: which agents must stop everything, since when and why.
    pub holds: Vec<Hold>,
    /// The problems of the last pass.
    pub problems: Vec<Problem>,
}

/// The last pass.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LastPass)]
pub struct LastPassView {
    /// Its id. Only a pass that changed something or had a problem has a record.
    pub pass_id: Uuid,
    /// When it ended.
    #[serde(with = "millis")]
    pub ended_at: Timestamp,
    /// Its status.
    pub status: Status,
    /// Until when it serves heartbeats. The first heartbeat after that runs the next pass.
    #[serde(with = "millis")]
    pub fresh_until: Timestamp,
}

/// The passes that ended in one hour, also those that changed nothing.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PassHour)]
pub struct PassHourView {
    /// When the hour began.
    #[serde(with = "millis")]
    pub hour: Timestamp,
    /// How many passes ended in it; 431 may be more.
    #[schema(minimum = 1, maximum = 431)]
    pub passes: usize,
    /// The worst of their statuses.
    pub worst_status: Status,
    /// The greatest age of the copy just before one of these passes ended: the time since `freshAt`, rounded down to
    /// minutes. 77640 may be more; null if there was no `freshAt`.
    #[schema(required)]
    pub max_age_seconds: Option<u64>,
}

/// Reads the fleet's status. Two read units at most.
///
/// # Errors
/// [`ReadError::Store`] if DynamoDB fails or an item cannot be read.
pub async fn status(app: &App) -> Result<FleetStatus, ReadError> {
    let state = app.store.state().await?;
    let problems = problems(app, &state).await?;
    Ok(FleetStatus {
        version: env!("CARGO_PKG_VERSION"),
        github_server_url: app.config.github_server_url.as_str().trim_end_matches('/').to_owned(),
        stale_at: state.ended.as_ref().map(|ended| stale_at(ended, app)),
        fresh_at: state.ended.as_ref().and_then(|ended| ended.fresh_at),
        pass_running_until: state.leased_until(app.clock.now()),
        repositories: app.config.repositories.len(),
        last_pass: state.ended.as_ref().map(LastPassView::of),
        hours: state.ended.iter().flat_map(|ended| ended.hours.iter()).map(PassHourView::of).collect(),
        holds: state.holds.as_slice().to_vec(),
        problems,
    })
}

/// From when on the copy counts as stale, if no pass ends before.
fn stale_at(ended: &LastPass, app: &App) -> Timestamp {
    ended.at.checked_add(max_schedule_pause(app.config.schedule)).unwrap_or(Timestamp::MAX)
}

/// The problems of the last pass, from its record.
async fn problems(app: &App, state: &FleetState) -> Result<Vec<Problem>, ReadError> {
    let Some(record) = state.ended.as_ref().and_then(|ended| ended.problems_from) else {
        return Ok(Vec::new());
    };
    Ok(app.store.pass(record).await?.map(|record| record.problems).unwrap_or_default())
}

impl PassHourView {
    fn of(hour: PassHour) -> Self {
        Self {
            hour: hour.start,
            passes: hour.passes,
            worst_status: hour.worst,
            max_age_seconds: hour.max_age.map(|age| age.as_secs()),
        }
    }
}

impl LastPassView {
    fn of(ended: &LastPass) -> Self {
        Self {
            pass_id: ended.pass_id,
            ended_at: ended.at,
            status: ended.status,
            fresh_until: ended.fresh_until(),
        }
    }
}
