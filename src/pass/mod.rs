//! One pass: brings the copy of all tracked repositories up to date, audits those that are due, and ends.
//!
//! Whatever one repository meets, the others go on. A pass may die after any request or write: what it leaves is always
//! behind GitHub, never wrong about it, and the next pass goes on from there.

mod account_notes;
mod audit;
mod budget;
mod checkpoints;
mod compare;
mod context;
mod end;
mod enroll;
mod health;
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
use crate::store::Lease;

pub use context::PassOptions;
pub(crate) use problems::not_confirmed;
pub use report::{PassEnd, PassReport};
pub use step::{Panicked, guard};

use context::Pass;

/// Runs the pass that `lease` allows.
pub async fn run(app: &App, lease: &Lease, options: PassOptions<'_>) -> Result<PassReport, PassEnd> {
    let pass = Pass::new(app, lease, options);
    let mut worklist = pass.find_repositories().boxed().await?;
    pass.take_over(&mut worklist).boxed().await;
    // Without any configured repository it is the configuration that is wrong: nothing is given up for it.
    if !app.config.repositories.is_empty() {
        pass.list(&mut worklist.work).boxed().await;
        pass.ask_unread(&mut worklist.work).boxed().await;
        worklist.confirmation_error = pass.confirm(&mut worklist.work);
        pass.audit(&mut worklist.work).boxed().await;
        pass.hide_untracked(&mut worklist).boxed().await;
    }
    pass.end(worklist).boxed().await
}
