//! How long the schedule may pause before somebody must notice.

use std::time::Duration;

/// How much longer than two schedules a pause may last: invocations are delayed, and a heartbeat takes its time.
const SLACK: Duration = Duration::from_secs(180);

/// The longest pause between two scheduled heartbeats, or two passes, that is still normal: one of them may fail. After a
/// longer one agents may not have been heard, and the copy is stale. `schedule` is `SCHEDULE_SECONDS`.
pub fn max_schedule_pause(schedule: Duration) -> Duration {
    schedule * 2 + SLACK
}
