//! One pass: brings the cached issues of all tracked repositories up to date, and audits the repositories that are due.
//!
//! A failure of one repository does not stop the others. A pass may die after any request or write: what it leaves may
//! be behind GitHub but never contradicts it, and the next pass continues from there.
//!
//! [`run`] shows the order of the steps. They share `context::Pass`, take the worklist from one to the next, and do not
//! call back.

mod account_notes;
mod audit;
mod budget;
mod checkpoints;
mod compare;
mod context;
mod end;
mod enroll;
mod health;
mod listed;
mod listings;
mod lookup;
mod on_hold;
pub mod plan;
mod problems;
mod report;
mod rows;
mod step;
mod takeover;
mod tally;
mod unread;
mod untracked;
mod work;

use futures_util::FutureExt as _;

use crate::app::App;
use crate::store::{Lease, LeaseError};

pub use context::PassOptions;
pub(crate) use problems::not_confirmed;
pub use report::PassReport;
pub use step::{Panicked, guard};

use context::Pass;

/// Runs the pass that `lease` allows.
///
/// # Errors
/// [`LeaseError`] if another pass takes over the lease, or the table cannot be read or written. Everything else that
/// fails is a problem in the report.
pub async fn run(app: &App, lease: &Lease, options: PassOptions<'_>) -> Result<PassReport, LeaseError> {
    let pass = Pass::new(app, lease, options);
    let mut worklist = pass.find_repositories().boxed().await?;
    pass.take_over(&mut worklist).boxed().await;
    // Without any configured repository the configuration is wrong: no stored repository is retired because of that.
    if !app.config.repositories.is_empty() {
        pass.list(&mut worklist.work).boxed().await;
        pass.request_unread(&mut worklist.work).boxed().await;
        worklist.confirmation_error = pass.confirm(&mut worklist.work);
        pass.audit(&mut worklist.work).boxed().await;
        pass.hide_untracked(&mut worklist).boxed().await;
    }
    pass.end(worklist).boxed().await
}
