//! Claims that a runner gives up, because it stops.

use serde::Serialize;
use uuid::Uuid;

use super::Runs;
use super::signal::Signal;
use super::statement::{Statement, batch};
use super::transaction::{Argument, Transaction, to_json};
use crate::domain::task::RunId;
use crate::store::Error;

const RELEASING: &str = "releasing the claims of runs";

/// A claim that expired long ago is taken over at once.
const RELEASE: Statement = batch!(
    [id uuid, attempt int]
    "UPDATE task_run SET lease_until = 0 FROM batch WHERE task_run.id = batch.id AND task_run.attempts = batch.attempt \
     AND task_run.state = 'Running' AND task_run.claimed_by = $2 RETURNING task_run.id"
);

#[derive(Serialize)]
struct ReleaseRow {
    id: String,
    attempt: u32,
}

impl Runs {
    /// Gives up claims of attempts that have not ended, so that other runners take them over at once. Returns those that the
    /// runner had.
    ///
    /// # Errors
    /// The database is unavailable: the claims then expire.
    pub async fn release(&self, runner: &str, claims: &[(RunId, u32)]) -> Result<Vec<RunId>, Error> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let mut sorted = claims.to_vec();
        sorted.sort();
        let to_row =
            |(id, attempt): &(RunId, u32)| ReleaseRow { id: id.0.simple().to_string(), attempt: *attempt };
        let rows = to_json(&sorted.iter().map(to_row).collect::<Vec<_>>());
        let mut transaction = Transaction::begin(&self.database, RELEASING).await?;
        let arguments = [Argument::Text(&rows), Argument::Text(runner)];
        let released: Vec<(Uuid,)> = transaction.fetch(RELEASE, &arguments).await?;
        transaction.commit().await?;
        self.signals.send(Signal::Claimable);
        Ok(released.into_iter().map(|(id,)| RunId(id)).collect())
    }
}
